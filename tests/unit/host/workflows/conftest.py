"""A host without its edges, and with its HTTP API twice."""

from tests.support.rigs.doors import doors as doors
from tests.support.rigs.doors import kind as kind
from tests.support.rigs.doors import second as second
from tests.support.rigs.host import rig as rig
