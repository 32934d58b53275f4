"""A workflow provider that keeps schedules, triggers and runs in its IndexedDB."""
