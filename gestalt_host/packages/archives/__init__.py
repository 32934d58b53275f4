"""Release archives: gzip-compressed tar files, written and unpacked (packaging.md 6, 8.4)."""
