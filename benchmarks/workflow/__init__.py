"""How fast the workflow engine is; ``python -m benchmarks.workflow``."""
