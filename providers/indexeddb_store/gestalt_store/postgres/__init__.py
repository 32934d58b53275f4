"""The engine on PostgreSQL: any number of processes share one database."""
