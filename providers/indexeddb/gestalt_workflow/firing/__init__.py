"""Find the schedules that are due and turn their slots into runs."""
