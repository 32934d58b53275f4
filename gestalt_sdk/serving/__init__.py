"""Run a provider as a process: listen, announce, log, stop."""
