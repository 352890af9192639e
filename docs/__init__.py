"""What is written about the service from its own code: `make docs`."""
