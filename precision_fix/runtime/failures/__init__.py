"""Errors that old GPUs are known for, and what to do about each: a few lines under the program's own traceback.

`table` has the rows, `telling` finds the row of an error and says it where the program ends or a cell fails.
"""
