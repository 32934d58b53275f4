"""Fetching over HTTP: bounded, with retries and resumption, tokens to one origin, archives kept by their digest."""
