"""Keep records in the object store: their form, their stores and indexes, and how they are written."""
