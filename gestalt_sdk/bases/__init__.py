"""What a provider of any kind builds on: its life cycle and its identity."""
