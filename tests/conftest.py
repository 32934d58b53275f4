"""What tests of every folder may ask for: one PostgreSQL server for the whole run."""

from tests.support.postgres import postgres_server as postgres_server
