"""The lock file: what sources were resolved to, whether that is still so, and how it is brought about."""
