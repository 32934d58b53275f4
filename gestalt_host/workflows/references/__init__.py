"""Execution references: as whom a run executes, their signature, and who sees the object that has one."""
