"""Commands of `gestaltd provider` for those who write providers."""
