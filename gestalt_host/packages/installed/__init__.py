"""Prepared directories: packages installed from archives, and what was installed there (packaging.md 8.3, 11)."""
