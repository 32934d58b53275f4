"""What callers create, read, change and end: schedules, event triggers, runs, events."""
