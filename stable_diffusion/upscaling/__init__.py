"""Pictures made larger by a network, and brought to an exact size."""
