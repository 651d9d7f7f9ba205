"""What `make docs` builds beside the pages of docs/."""
