"""Keep what a user can name: schedules, triggers, runs, signals and execution references."""
