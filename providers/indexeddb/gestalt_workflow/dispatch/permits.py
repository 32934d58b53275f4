"""Keep limits of targets: at most as many runs of a target run at once as its limit has permits.

A permit is a record that exists while a run holds it. The claim that starts the run makes it, on condition that there
is none, and whatever ends the claim removes it in the same commit (``transitions.freeing_writes``), so that the limit
holds over all processes of the database and nothing is left behind by a process that dies. Which permits are free is
kept in memory and may be outdated: then a claim is refused, and they are read again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from zlib import crc32

from gestalt_workflow.dispatch.limits import Limit
from gestalt_workflow.model.objects import Run
from gestalt_workflow.stored.records import PERMITS, RUNS, permits_field
from gestalt_workflow.stored.storage import Condition, KeyRange, Storage, Write, absent

STEP = "read permits"


class Permits:
    """Which permits are held, as far as this process knows."""

    def __init__(self, storage: Storage, claimant: str) -> None:
        """Take the name of this process: by it processes begin with different permits, and seldom try for the same."""
        self._storage = storage
        self._start = crc32(claimant.encode("utf-8", "surrogatepass"))
        self._holders: dict[str, str] = {}
        self._names: dict[str, set[str]] = {}
        self._freed: set[str] | None = None
        self._doubtful = True

    # What is free, as far as this process knows

    def has_capacity(self, limits: Sequence[Limit]) -> bool:
        """Return whether each of the limits has a permit left."""
        return all(len(self._names.get(limit.name, ())) < limit.runs for limit in limits)

    def take(self, limits: Sequence[Limit], run_id: str) -> tuple[str, ...]:
        """Take one permit of each limit, all of which have capacity as far as is known; the claim to follow decides."""
        return tuple(self._take(limit, run_id) for limit in limits)

    def freed(self, run_id: str) -> bool:
        """Forget the permits of the run; return whether it held one."""
        if self._freed is not None:
            self._freed.add(run_id)
        held = [permit for permit, holder in self._holders.items() if holder == run_id]
        for permit in held:
            del self._holders[permit]
            self._names[_name(permit)].discard(permit)
        return bool(held)

    def held_by_others(self, limits: Sequence[Limit], ours: Collection[str]) -> bool:
        """Return whether one of the limits is reached, and not by the runs ``ours`` of this process alone."""
        return any(
            any(self._holders[permit] not in ours for permit in self._names[limit.name])
            for limit in limits
            if not self.has_capacity([limit])
        )

    def doubt(self) -> None:
        """Read the permits again before the next claim: others may have taken or freed some."""
        self._doubtful = True

    @property
    def in_doubt(self) -> bool:
        """Whether they are to be read before the next claim."""
        return self._doubtful

    async def end_doubt(self) -> None:
        """Read which permits are held, if there is doubt about it; one message."""
        if not self._doubtful:
            return
        self._freed = set()
        try:
            holders = await self._read()
            freed = self._freed
        finally:
            self._freed = None
        self._holders.clear()
        self._names.clear()
        for permit, run_id in holders.items():
            if run_id not in freed:
                self._hold(permit, run_id)
        self._doubtful = False

    async def _read(self) -> dict[str, str]:
        holders: dict[str, str] = {}
        token = b""
        while True:
            page = await self._storage.page_by_id(PERMITS, KeyRange(), STEP, token=token)
            holders.update({str(record["id"]): str(record.get("run_id")) for record in page.records})
            token = page.next_token
            if not token:
                return holders

    def _take(self, limit: Limit, run_id: str) -> str:
        for number in range(limit.runs):
            permit = _permit(limit.name, (self._start + number) % limit.runs)
            if permit not in self._holders:
                self._hold(permit, run_id)
                return permit
        raise AssertionError(f"no permit of {limit.name} is left")

    def _hold(self, permit: str, run_id: str) -> None:
        self._holders[permit] = run_id
        self._names.setdefault(_name(permit), set()).add(permit)


def permit_conditions(permits: Sequence[str]) -> list[Condition]:
    """Return the conditions under which a claim may take the permits; for the write of the run."""
    return [absent(store=PERMITS, id=permit) for permit in permits]


def permit_writes(claimed: Run) -> list[Write]:
    """Return the writes that make the permits of a claim; put them behind the write of the run."""
    made = [
        Condition.equals("owner", claimed.claimant, store=RUNS, id=claimed.id),
        Condition.equals("epoch", claimed.epoch, store=RUNS, id=claimed.id),
        # An earlier claim of the same epoch, whose answer was lost, has other ones.
        Condition.equals("permits", permits_field(claimed.permits), store=RUNS, id=claimed.id),
    ]
    return [
        Write(
            PERMITS,
            "add",
            {"id": permit, "run_id": claimed.id, "owner": claimed.claimant, "lease": claimed.lease},
            conditions=made,
        )
        for permit in claimed.permits
    ]


def _permit(name: str, number: int) -> str:
    return f"{name}#{number}"


def _name(permit: str) -> str:
    return permit.rpartition("#")[0]
