"""What a provider must do, as rules that are tried on its process from outside, and their report (decision 52)."""
