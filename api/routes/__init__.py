"""One file a resource; each function takes what its routes work with and returns a Blueprint."""
