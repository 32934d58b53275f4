"""Keep each person's texts with blanks, and offer every one of them as an operation."""
