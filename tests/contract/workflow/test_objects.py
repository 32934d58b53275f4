"""Schedules and triggers as objects of any provider (semantics.md 15.5, 16, 19.7, 24)."""

from __future__ import annotations

import pytest

from tests.support.rigs.workflow import Rig


@pytest.mark.trap(3)
async def test_time_zones_need_no_database_of_the_machine(rig: Rig) -> None:
    rig.environ["PYTHONTZPATH"] = ""
    workflow = await rig.provider(start=False)
    made = await workflow.upsert_schedule("s", "0 9 * * *", timezone="Australia/Lord_Howe")
    assert made.timezone == "Australia/Lord_Howe"
    assert made.next_run_at.ToDatetime().hour in (22, 23)
