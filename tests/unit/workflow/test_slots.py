"""Slots: the given vectors, the grammar, clock changes, and properties that must hold for any expression."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tzdata
from croniter import CroniterBadDateError, croniter
from gestalt_workflow.firing.slots import count_slots, last_slots, next_slot, next_slots, previous_slot
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt_host.verification.suites.workflow import oracle
from gestalt_host.verification.suites.workflow.oracle import spelled
from gestalt_sdk.timing.cron import CronInvalid, check_cron, parse_cron
from gestalt_sdk.timing.zones import ZoneInvalid, load_zone, normalise_zone, zone_names
from tests.support.cron_oracle import derived
from tests.support.cron_vectors import OWN_VECTORS, VECTORS, name_of


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("vector", [v for v in VECTORS + OWN_VECTORS if "next" in v], ids=name_of)
def test_vector(vector: dict[str, Any]) -> None:
    cron, zone, wanted = parse_cron(vector["cron"]), vector["timezone"], vector["next"]
    slots = next_slots(cron, zone, moment(vector["after"]), len(wanted) or 1)
    assert spelled(slots) == wanted, (
        f"with zone data {tzdata.IANA_VERSION}; verification/suites/workflow/vectors/README.md says which must agree"
    )
    for earlier, later in pairwise(slots):
        assert previous_slot(cron, zone, later) == later
        assert previous_slot(cron, zone, later - timedelta(microseconds=1)) == earlier


@pytest.mark.parametrize("vector", [v for v in OWN_VECTORS if "previous" in v], ids=name_of)
def test_vector_backwards(vector: dict[str, Any]) -> None:
    cron, zone, wanted = parse_cron(vector["cron"]), vector["timezone"], vector["previous"]
    slots: list[datetime] = []
    until = moment(vector["until"])
    while len(slots) < len(wanted):
        slot = previous_slot(cron, zone, until)
        assert slot is not None
        slots.append(slot)
        until = slot - timedelta(microseconds=1)
    assert spelled(slots) == wanted
    if not wanted:
        assert previous_slot(cron, zone, until) is None
        return
    assert last_slots(cron, zone, slots[-1], slots[0], len(slots)) == slots[::-1]
    assert count_slots(cron, zone, slots[-1], slots[0]) == len(slots)


@pytest.mark.parametrize("vector", [v for v in OWN_VECTORS if "refused" not in v], ids=name_of)
def test_the_oracle_finds_the_same_vector(vector: dict[str, Any]) -> None:
    """The file holds what trying every minute finds, not what the implementation printed."""
    wanted = vector["next"] if "next" in vector else vector["previous"]
    assert derived(vector, load_zone(vector["timezone"]), max(len(wanted), 1)) == wanted


@pytest.mark.parametrize("vector", [v for v in OWN_VECTORS if "refused" in v], ids=name_of)
def test_a_refused_vector_names_its_column(vector: dict[str, Any]) -> None:
    with pytest.raises(CronInvalid, match=r"^invalid cron: ") as refused:
        check_cron(vector["cron"], date(2026, 1, 1))
    assert refused.value.column == vector["refused"]["column"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "refused" in v], ids=lambda v: v["cron"])
def test_refused_vector(vector: dict[str, Any]) -> None:
    try:
        cron = parse_cron(vector["cron"])
    except CronInvalid as error:
        assert str(error).startswith("invalid cron: ")
    else:
        assert next_slot(cron, vector["timezone"], moment(vector["after"])) is None


@pytest.mark.parametrize(
    ("expression", "column", "field"),
    [
        ("60 * * * *", 1, "minute"),
        ("*  24 * * *", 4, "hour"),
        ("0,99 * * * *", 3, "minute"),
        ("* * 1,32 * *", 7, "day-of-month"),
        ("* * * jan-foo *", 7, "month"),
        ("* * * * 1/0", 9, "day-of-week"),
        ("* * * * 7", 9, "day-of-week"),
        ("1/2/3 * * * *", 1, "minute"),
    ],
)
def test_a_refusal_names_column_and_field(expression: str, column: int, field: str) -> None:
    with pytest.raises(CronInvalid, match=rf"^invalid cron: column {column}: {field} "):
        parse_cron(expression)


@pytest.mark.parametrize("expression", ["TZ=UTC * * * * *", "CRON_TZ=UTC * * * * *", "TZ=UTC", "@every 5m", "@"])
def test_prefixes_and_descriptors_are_refused_not_crashed_on(expression: str) -> None:
    with pytest.raises(CronInvalid, match=r"^invalid cron: "):
        parse_cron(expression)


@pytest.mark.parametrize(
    ("lenient", "strict"),
    [
        ("+5 05 * * *", "5 5 * * *"),
        ("*/100 * * * *", "0 * * * *"),
        ("5/15 * * * *", "5,20,35,50 * * * *"),
        ("0 0 * JAN-mar Sun", "0 0 * 1-3 0"),
        ("0 0 ?  * ?", "0 0 * * *"),
    ],
)
def test_leniencies(lenient: str, strict: str) -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC)
    assert next_slots(parse_cron(lenient), "UTC", after, 20) == next_slots(parse_cron(strict), "UTC", after, 20)


@pytest.mark.parametrize(
    ("stored", "same"),
    [
        ("*-5 * * * *", "* * * * *"),
        ("*-x * * * *", "* * * * *"),
        ("?-9/7 * * * *", "?/7 * * * *"),
        (",1,,2, * * * *", "1,2 * * * *"),
        ("0 0 * * mon,", "0 0 * * mon"),
        ("0 0 1 * ,", "0 0 1 * *"),
        ("0 0 , * 1", "0 0 * * 1"),
    ],
)
def test_what_an_earlier_version_has_stored_fires_as_it_did(stored: str, same: str) -> None:
    with pytest.raises(CronInvalid):
        parse_cron(stored)
    after = datetime(2026, 1, 1, tzinfo=UTC)
    found = next_slots(parse_cron(stored, stored=True), "UTC", after, 20)
    assert found == next_slots(parse_cron(same), "UTC", after, 20)


def test_a_bare_star_lets_the_other_day_field_decide() -> None:
    after = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def days(expression: str) -> list[int]:
        return [slot.day for slot in next_slots(parse_cron(expression), "UTC", after, 6)]

    assert days("0 0 */2 * 1") == [3, 5, 7, 9, 11, 12]
    assert days("0 0 1-31 * 1") == [2, 3, 4, 5, 6, 7]
    assert days("0 0 */1 * 1") == [5, 12, 19, 26, 2, 9]


@pytest.mark.parametrize("name", ["Local", "local", "localtime", "Mars/Olympus", "../UTC", "europe/berlin", "UTC+1"])
def test_names_that_are_no_iana_zone_are_refused(name: str) -> None:
    with pytest.raises(ZoneInvalid, match=f'^invalid timezone "{name}"$'.replace("+", r"\+")):
        normalise_zone(name)


def test_every_zone_name_can_be_loaded_and_blank_is_utc() -> None:
    assert normalise_zone("  ") == "UTC"
    assert len(zone_names()) > 400
    for name in zone_names():
        assert load_zone(name).key == name


def test_the_machines_own_zones_do_not_count(tmp_path: Path) -> None:
    """With a database of the machine in which Berlin is at UTC, slots stay what they are."""
    (tmp_path / "Europe").mkdir()
    utc = resources.files("tzdata").joinpath("zoneinfo", "Etc", "UTC").read_bytes()
    (tmp_path / "Europe" / "Berlin").write_bytes(utc)
    program = (
        "from datetime import *; from zoneinfo import ZoneInfo; from gestalt_sdk.timing.zones import load_zone\n"
        "for zone in (ZoneInfo('Europe/Berlin'), load_zone('Europe/Berlin')):"
        " print(datetime(2026, 1, 1, tzinfo=zone).utcoffset())"
    )
    environ = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
    shown = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["0:00:00", "1:00:00"]


def test_a_leap_day_is_found_across_a_century_without_one_and_what_never_comes_is_not() -> None:
    leap = parse_cron("0 0 29 2 *")
    assert next_slot(leap, "UTC", datetime(2096, 3, 1, tzinfo=UTC)) == datetime(2104, 2, 29, tzinfo=UTC)
    assert previous_slot(leap, "UTC", datetime(2104, 2, 28, tzinfo=UTC)) == datetime(2096, 2, 29, tzinfo=UTC)
    assert previous_slot(parse_cron("0 0 31 2 *"), "UTC", datetime(2026, 3, 1, tzinfo=UTC)) is None


def test_an_outage_of_years_is_crossed_directly() -> None:
    # A loop over the missed minutes would take minutes itself.
    cron = parse_cron("* * * * *")
    until = datetime(2096, 1, 1, tzinfo=UTC)
    assert previous_slot(cron, "Europe/Berlin", until) == until
    assert last_slots(cron, "Europe/Berlin", datetime(1996, 1, 1, tzinfo=UTC), until, 2)[-1] == until
    days = (until - datetime(2026, 1, 1, tzinfo=UTC)) // timedelta(days=1)
    assert count_slots(cron, "Europe/Berlin", datetime(2026, 1, 1, tzinfo=UTC), until) == days * 24 * 60 + 1


fields = st.sampled_from(["*", "0", "*/7", "30", "1-50/9", "5,10,59"])
hours = st.sampled_from(["*", "*/2", "2", "0", "1,2,3", "0-23", "23", "2,*/5"])
days = st.sampled_from(["*", "1", "*/3", "28-31", "15"])
months = st.sampled_from(["*", "3", "10,11", "*/4"])
weekdays = st.sampled_from(["*", "0", "1-5", "*/2"])
expressions = st.builds("{} {} {} {} {}".format, fields, hours, days, months, weekdays)
ZONES = """UTC America/New_York Europe/Berlin Australia/Lord_Howe America/St_Johns Asia/Kolkata America/Sao_Paulo
Africa/Casablanca Pacific/Apia America/Havana Asia/Gaza Pacific/Chatham"""
zones = st.sampled_from(ZONES.split())
moments = st.datetimes(datetime(1996, 1, 1), datetime(2038, 1, 1)).map(lambda m: m.replace(tzinfo=UTC))


@settings(max_examples=300, deadline=None)
@given(expressions, zones, moments)
def test_slots_ascend_and_previous_is_the_inverse_of_next(expression: str, zone: str, after: datetime) -> None:
    cron = parse_cron(expression)
    slots = next_slots(cron, zone, after, 5)
    assert slots == sorted(set(slots))
    assert all(slot > after for slot in slots)
    for earlier, later in pairwise(slots):
        assert previous_slot(cron, zone, later) == later
        assert previous_slot(cron, zone, later - timedelta(microseconds=1)) == earlier
        assert next_slot(cron, zone, earlier) == later


CHANGES = sorted({(v["timezone"], moment(v["after"])) for v in OWN_VECTORS if "after" in v and v["timezone"] != "UTC"})
"""Zones, each with a moment less than a day before something happens to its clock."""
near_changes = st.builds(
    lambda place, shift: (place[0], place[1] + shift),
    st.sampled_from(CHANGES),
    st.timedeltas(timedelta(days=-1), timedelta(days=1)),
)
anywhere = st.tuples(zones, moments)


@settings(max_examples=300, deadline=None)
@given(expressions, near_changes | anywhere)
def test_everything_agrees_with_trying_every_minute(expression: str, place: tuple[str, datetime]) -> None:
    zone, after = place
    cron = parse_cron(expression)
    until = after + timedelta(days=3)
    expected = list(oracle.slots(expression, load_zone(zone), after + timedelta(microseconds=1), until))
    count = len(expected)
    assert next_slots(cron, zone, after, count) == expected
    beyond = next_slot(cron, zone, expected[-1] if expected else after)
    assert beyond is None or beyond > until
    assert count_slots(cron, zone, after + timedelta(microseconds=1), until) == count
    assert last_slots(cron, zone, after + timedelta(microseconds=1), until, count + 1) == expected
    assert previous_slot(cron, zone, until) == expected[-1] if expected else True


@settings(max_examples=300, deadline=None)
@given(expressions, moments)
def test_where_no_clock_changes_another_implementation_agrees(expression: str, after: datetime) -> None:
    other = croniter(expression, after)
    try:
        expected = [other.get_next(datetime) for _ in range(5)]
    except CroniterBadDateError:
        return  # it gives up sooner
    found = next_slots(parse_cron(expression), "UTC", after, 5)
    assert found == expected[: len(found)]
    assert len(found) == 5 or (expected[len(found)] - after).days > 5 * 365


grammar = st.text("0123456789*?/,-+ ABFMNJSaeghijnoprstuvy@=TZ.#", max_size=24)


@settings(max_examples=500, deadline=None)
@given(grammar | st.builds("{} {}".format, expressions, grammar) | st.lists(grammar, max_size=6).map(" ".join))
def test_any_text_is_accepted_or_refused_with_a_column_inside_it(text: str) -> None:
    try:
        check_cron(text, date(2026, 1, 1))
    except CronInvalid as refused:
        assert 1 <= refused.column <= len(text) + 1
        assert str(refused).startswith("invalid cron: ")
    else:
        assert next_slot(parse_cron(text), "UTC", datetime(2026, 1, 1, tzinfo=UTC)) is not None
