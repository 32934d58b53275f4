"""A plugin that keeps notes."""
