"""Keep objects, turns and interactions of an agent: base class, types and conversion."""
