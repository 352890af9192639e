"""The jobs: all that the API and the workers share. No Flask, no torch."""

__version__ = "0.1.0"
