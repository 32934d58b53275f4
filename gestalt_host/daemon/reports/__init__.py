"""What the host tells of its providers and of itself: reports and metrics."""
