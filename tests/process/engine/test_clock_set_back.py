"""The machine's clock under a real provider is set ahead for a while and set back (decision 25), under libfaketime.

Where Debian's package ``faketime`` is not installed these tests are skipped and say so.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.process.engine.installation import Installation, Member, open_installation
from tests.support.commands import STORE, WORKFLOW
from tests.support.rigs.workflow import ProviderProcess
from tests.support.waiting import eventually

LIBRARY = Path("faketime/libfaketimeMT.so.1")
BEFORE_THE_SLOT = timedelta(seconds=50)
"""Where in its minute the clock of the test stands when it is set back: the next slot is some seconds away."""


def library() -> Path:
    """Return libfaketime for programs with threads; skip the test where it is not installed."""
    found = sorted(path for path in Path("/usr/lib").glob(f"*/{LIBRARY}"))
    if not found:
        pytest.skip("libfaketime is not installed: apt-get install faketime")
    return found[0]


class MachineClock:
    """The clock of the provider and its store: real time and an offset, which they read from a file at every call."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketime"
        self._right_s = 0
        self.set_right()

    def environ(self, library: Path) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }

    def set_ahead(self, by: timedelta) -> None:
        """Set it ahead of the right time by that."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{self._right_s + by.total_seconds():+.0f}\n")
        written.replace(self._file)

    def set_right(self) -> None:
        """Set it right. The right time is whatever suits the test, and here it is some seconds before a slot."""
        right = self.right()
        wanted = right.replace(second=0, microsecond=0) + BEFORE_THE_SLOT
        self._right_s += round((wanted - right).total_seconds()) % 60
        self.set_ahead(timedelta())

    def right(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._right_s)


async def begun(installation: Installation, clock: MachineClock, preload: Path) -> Member:
    environ = clock.environ(preload)
    sockets = {"GESTALT_WORKFLOW_HOST_SOCKET": str(installation.directory / "host.sock")}
    dsn = f"sqlite://{installation.directory}/state.db"
    store = ProviderProcess("store", STORE.text, installation.directory, environ, {"dsn": dsn})
    sockets["GESTALT_INDEXEDDB_SOCKET"] = str(store.socket)
    process = ProviderProcess("provider", WORKFLOW.text, installation.directory, environ | sockets, {})
    member = Member(process, store)
    installation.members.append(member)
    await member.boot(store=True)
    return member


async def fired_after(member: Member, moment: datetime, within: timedelta) -> datetime:
    """Wait for a run of a slot in that time, and return the slot."""

    async def found() -> datetime | None:
        slots = [
            run.trigger.schedule.scheduled_for.ToDatetime(UTC)
            for run in await member.workflow.list_runs()
            if run.trigger.HasField("schedule")
        ]
        return next((slot for slot in slots if moment < slot <= moment + within), None)

    return await eventually(found, within_s=40)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("restarted", [False, True], ids=["running on", "restarted"])
@pytest.mark.parametrize("ahead", [timedelta(hours=3), timedelta(days=400)], ids=["3 hours", "400 days"])
async def test_a_schedule_fires_when_the_clock_is_right_again(ahead: timedelta, restarted: bool) -> None:
    preload = library()
    async with open_installation(0) as installation:
        clock = MachineClock(installation.directory)
        member = await begun(installation, clock, preload)
        await member.workflow.upsert_schedule("s", "* * * * *")
        clock.set_ahead(ahead)
        await fired_after(member, clock.right() + ahead - timedelta(minutes=1), timedelta(minutes=2))
        if restarted:
            await member.process.end()
        clock.set_right()
        if restarted:
            await member.boot()
        await fired_after(member, clock.right() - timedelta(seconds=1), timedelta(minutes=1))
        lines = [json.loads(line) for line in installation.logs().splitlines() if line.startswith("{")]
        (said,) = [line for line in lines if line.get("event_name") == "clock.set_back"]
        assert said["by_s"] == pytest.approx(ahead.total_seconds(), abs=90)
