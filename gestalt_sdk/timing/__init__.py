"""Compute times: cron expressions, zones and durations."""
