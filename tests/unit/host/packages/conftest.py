"""A package folder that tests write, web servers that they fetch from, and tools that stand in for real ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.rigs.package import package as package
from tests.support.rigs.toolchains import tools as tools
from tests.support.rigs.web import Web, serving


@pytest.fixture
def web() -> Iterator[Web]:
    """A server."""
    with serving() as one:
        yield one


@pytest.fixture
def other() -> Iterator[Web]:
    """Another one, on another port."""
    with serving() as one:
        yield one
