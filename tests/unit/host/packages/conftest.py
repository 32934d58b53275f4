"""A package folder that tests write, and tools that stand in for real ones."""

from tests.support.rigs.package import package as package
from tests.support.rigs.toolchains import tools as tools
