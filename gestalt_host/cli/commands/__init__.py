"""The commands of ``gestalt``, one module for each group."""
