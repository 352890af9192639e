"""Weights at rest: which files hold a model, what is in them, and how they get into networks."""
