"""The configured workflow providers and the client of one."""
