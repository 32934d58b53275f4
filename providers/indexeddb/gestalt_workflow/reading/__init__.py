"""Answer queries and lists by page."""
