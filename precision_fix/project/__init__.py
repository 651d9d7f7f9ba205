"""The project around a file: which files it has, what they import, and what they say of each other's names."""
