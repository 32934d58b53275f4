"""The storage engine on PostgreSQL: any number of store processes share one database."""
