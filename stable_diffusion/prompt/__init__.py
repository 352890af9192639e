"""What a prompt means: emphasis, blends, chunks, and the conditioning they become."""
