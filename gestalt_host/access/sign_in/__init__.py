"""Whom a request comes from."""
