"""Publish events, judge triggers, keep and replay what was published."""
