"""Encode keys and records, and know the schemas and ranges over them; used by both engines."""
