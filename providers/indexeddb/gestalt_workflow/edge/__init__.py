"""Serve the provider over gRPC: convert, call, convert; faults become statuses here and nowhere else."""
