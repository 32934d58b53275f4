"""Texts loaded as a configuration."""

from tests.support.rigs.config import faults as faults
from tests.support.rigs.config import loaded as loaded
