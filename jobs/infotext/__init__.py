"""The recipe that is written into a picture, and read from one."""
