"""The HTTP API: a transport over the invoker and the workflow manager."""
