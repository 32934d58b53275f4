"""A package folder that tests write."""

from tests.support.rigs.package import package as package
