"""Serve object stores over gRPC: unary calls, streams, scopes and batches."""
