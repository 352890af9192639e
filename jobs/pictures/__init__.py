"""The pictures of jobs: decoded from hostile input, and stored."""
