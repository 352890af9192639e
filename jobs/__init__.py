"""What a job is: the only vocabulary the API and the workers share. No Flask, no torch."""

__version__ = "0.1.0"
