"""A serial order of committed transactions, found from what each of them read and wrote, and when."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter


@dataclass
class Committed:
    """One committed transaction: versions by key, a version being its writer's id. What it wrote it read before.

    Where it is known when it began and when it had ended, one that had ended before another began comes first.
    """

    id: int
    read: dict[str, int] = field(default_factory=dict)
    wrote: set[str] = field(default_factory=set)
    began: float = -math.inf
    ended: float = math.inf


def serial_order(history: list[Committed]) -> list[int]:
    """Ids in an order in which running one by one reads the same; ``ValueError`` when there is none.

    Every writer read the version that it replaced, so the versions of a key form a chain, and each reader comes after
    the writer of what it read and before the writer of the next version.
    """
    next_writer: dict[tuple[str, int], int] = {}
    for transaction in history:
        for key in transaction.wrote:
            replaced = (key, transaction.read[key])
            if replaced in next_writer:
                raise ValueError(f"{key}: version {replaced[1]} was replaced twice: an update was lost")
            next_writer[replaced] = transaction.id
    before: dict[int, set[int]] = defaultdict(set)
    ids = {transaction.id for transaction in history}
    for transaction in history:
        before[transaction.id] |= set()
        for key, version in transaction.read.items():
            if version in ids:
                before[transaction.id].add(version)
            elif version:
                raise ValueError(f"{key}: version {version} was never committed")
            replacer = next_writer.get((key, version))
            if replacer is not None and replacer != transaction.id:
                before[replacer].add(transaction.id)
    for transaction in history:
        before[transaction.id] |= {other.id for other in history if other.ended < transaction.began}
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        raise ValueError(f"no serial order: {error.args[1]}") from None
