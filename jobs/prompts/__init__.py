"""The texts of a request: wildcards, prompt files, LoRA tags, and whether they can be read."""
