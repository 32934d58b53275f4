"""`gestaltd provider`: packages of providers, in the configuration, in repositories and as releases."""
