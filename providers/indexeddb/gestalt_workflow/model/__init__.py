"""Model schedules, triggers, runs and events; every room may import this one."""
