"""What a run invokes: resolving, comparing and permitting targets."""
