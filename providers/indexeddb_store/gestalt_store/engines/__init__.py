"""Say what an engine is, and what both engines share: locks and the steps of an index change."""
