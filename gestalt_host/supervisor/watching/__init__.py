"""Looking at a provider's process from outside: whether it answers, and how much memory it uses."""
