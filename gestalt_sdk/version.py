"""Versions that host and SDK share: of this tree, whose distributions are released together, and of the protocol."""

VERSION = "0.1.0"
PROTOCOL_VERSION = 3
"""Of the calls between host and providers (contract.md 1.2)."""
