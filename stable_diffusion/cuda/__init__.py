"""What makes a GPU fast: one thread, recorded evaluations."""
