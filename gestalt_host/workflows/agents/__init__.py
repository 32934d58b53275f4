"""Runs whose target is an agent. Nothing wires this yet: the daemon configures no agent providers."""
