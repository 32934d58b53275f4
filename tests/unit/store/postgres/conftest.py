"""The PostgreSQL engine in this process, and store processes on one server."""

from tests.support.rigs.postgres_store import database as database
from tests.support.rigs.postgres_store import hosts as hosts
from tests.support.rigs.postgres_store import pair as pair
from tests.support.rigs.postgres_store import server as server
from tests.support.rigs.postgres_store import shared_db as shared_db
from tests.support.rigs.postgres_store import start as start
