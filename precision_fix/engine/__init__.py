"""The work on a tree: scan it, make the edits, keep what was there, bring it back."""
