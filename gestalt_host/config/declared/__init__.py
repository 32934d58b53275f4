"""What manifests of packages and configurations declare in the same words."""
