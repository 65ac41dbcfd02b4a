"""Whose checkpoint layout a file has: a library each, with its names and conventions."""
