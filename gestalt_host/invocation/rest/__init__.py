"""Declarative REST operations: an HTTP request made from a manifest, sent under rules, its answer as the result."""
