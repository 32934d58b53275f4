"""What every room of the SDK may use."""
