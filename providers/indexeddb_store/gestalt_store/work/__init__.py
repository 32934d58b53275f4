"""Carry out operations, cursors and batches on any engine."""
