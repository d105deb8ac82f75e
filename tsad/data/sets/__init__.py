"""Data sets: files of the user, published sets, and synthetic series."""
