"""Longer measurements on real projects, run by make targets of their own: speed, score."""
