"""What programs write into a picture about its making, and what it means as a native request."""
