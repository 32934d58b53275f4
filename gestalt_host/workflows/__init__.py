"""Schedules, event triggers, runs and events for those who use them; what a provider keeps is reached by gRPC."""
