"""The models of a worker: which are installed, which are loaded."""
