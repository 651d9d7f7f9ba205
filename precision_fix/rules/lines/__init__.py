"""The rules of text that is only read, line by line."""
