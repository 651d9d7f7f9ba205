"""Rules of how a program starts."""
