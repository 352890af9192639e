"""HTTP below Flask's routes: connections, bodies, headers, addresses."""
