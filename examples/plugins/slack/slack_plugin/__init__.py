"""Messages to a webhook or a local file."""
