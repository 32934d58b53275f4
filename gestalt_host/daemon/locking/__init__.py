"""The lock file as commands use it: locking, installing what is locked, and what is wrong with either."""
