"""Manifests of provider packages: reading, checking and writing them down (packaging.md 1, 2, 4)."""
