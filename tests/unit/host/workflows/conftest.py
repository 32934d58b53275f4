"""A host without its edges."""

from tests.support.rigs.host import rig as rig
