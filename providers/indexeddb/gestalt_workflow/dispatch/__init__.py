"""Take runs that are due, call the host for each, and commit how they ended."""
