"""Reach the workflow services of a host, or be a workflow provider: clients, base class, types and conversion."""
