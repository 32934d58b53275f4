"""Locks by name: who does something about the same thing in this process waits for its turn."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Hashable


class Turns:
    """A lock for each key, kept as long as somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: weakref.WeakValueDictionary[Hashable, asyncio.Lock] = weakref.WeakValueDictionary()

    def of(self, *key: Hashable) -> asyncio.Lock:
        """Return the lock of the key; those who wait for it get it in the order in which they asked."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
