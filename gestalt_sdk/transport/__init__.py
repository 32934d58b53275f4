"""Carry calls: channels, the sockets of the host, faults, streams and values on the wire."""
