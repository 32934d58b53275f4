"""`gestalt`, the command line client: commands over the HTTP API. It imports nothing from the rest of the host."""
