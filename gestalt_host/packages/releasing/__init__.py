"""`gestaltd provider release`: from a package's folder to the archives and metadata of a release (packaging.md 12)."""
