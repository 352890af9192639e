"""The models of a worker: which are installed, and which are in memory."""
