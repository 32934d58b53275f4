"""Remove what is older than it is kept for."""
