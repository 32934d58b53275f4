"""Plugins and their operations: what there is, who may invoke it, and the call to the plugin's process."""
