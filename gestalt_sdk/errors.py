"""Base class of every error that Gestalt raises on purpose; imports neither grpc nor HTTP."""

from __future__ import annotations


class GestaltError(Exception):
    """An expected failure. Its text is written for the person or program that made the call."""
