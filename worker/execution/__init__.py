"""One job, from its claim to its stored pictures."""
