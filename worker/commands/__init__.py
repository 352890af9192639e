"""`python -m worker models ...`: commands that list, download and check models."""
