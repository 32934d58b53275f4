"""Starting a provider's process: what it is given, what has to hold before it runs, and when it can be called."""
