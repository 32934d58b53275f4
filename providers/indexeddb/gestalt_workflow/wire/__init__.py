"""Turn messages of the contract into the provider's own types and back."""
