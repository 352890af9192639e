"""Autoencoders besides the whole one: in strips, and a small one."""
