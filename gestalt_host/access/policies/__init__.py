"""Which subject may use what."""
