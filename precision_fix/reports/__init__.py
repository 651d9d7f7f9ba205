"""The reports of a run: one module a format, and only those that are asked for are imported.

Each has `render(run)`, which gives its text; `outputs` says which are wanted and where they go.
"""
