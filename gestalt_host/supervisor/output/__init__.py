"""What provider processes write: read from their pipes, logged within a budget, and the last of it kept."""

from gestalt_host.supervisor.output.pipes import ProcessOutput, ProviderOutput

__all__ = ["ProcessOutput", "ProviderOutput"]
