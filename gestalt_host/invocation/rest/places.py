"""Places for what one plugin sends at a time: a bound for all, and one for each subject, so that none fills them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class Places:
    """Gives places in the order in which they are asked for.

    Args:
        most: For all together.
        most_each: For one subject; what it asks for beyond waits where it takes nobody's place.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self.most, self.most_each = most, most_each
        self._all = asyncio.Semaphore(most)
        self._each: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def taken(self, subject: str) -> AsyncIterator[None]:
        """Hold a place."""
        own = self._each.get(subject)
        if own is None:
            own = self._each[subject] = asyncio.Semaphore(self.most_each)
        async with own, self._all:
            yield
