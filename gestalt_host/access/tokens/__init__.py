"""What a caller shows to act as a subject."""
