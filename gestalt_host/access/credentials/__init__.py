"""What a plugin reaches the service behind it with."""
