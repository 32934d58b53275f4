"""Engines over one database in memory."""

from tests.support.rigs.engine import world as world
