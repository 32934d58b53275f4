"""The host refuses the cron texts that the workflow provider refuses, and no others."""

from __future__ import annotations

from datetime import date

import pytest

from gestalt_sdk.timing.cron import CronInvalid, check_cron
from tests.support.cron_vectors import VECTORS

TODAY = date(2026, 1, 1)
ACCEPTED = sorted({vector["cron"] for vector in VECTORS if "refused" not in vector})
REFUSED = sorted({vector["cron"] for vector in VECTORS if "refused" in vector})


@pytest.mark.parametrize("expression", ACCEPTED)
def test_expressions_with_slots_are_accepted(expression: str) -> None:
    check_cron(expression, TODAY)


@pytest.mark.parametrize("expression", REFUSED)
def test_expressions_that_the_provider_refuses_are_refused(expression: str) -> None:
    with pytest.raises(CronInvalid):
        check_cron(expression, TODAY)


@pytest.mark.parametrize("expression", ["+5 05 * * *", "*/100 * * * *", "  0 0 * * *  "])
def test_leniencies_are_kept(expression: str) -> None:
    check_cron(expression, TODAY)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("0 25 * * *", 'column 3: hour "25": 25 is above the maximum 23'),
        ("0 0 * * mon-foo", 'column 9: day-of-week "mon-foo": "foo" is not a number or one of sun, mon'),
        ("*/0 * * * *", 'column 1: minute "*/0": the step must not be 0'),
        ("1/2/3 * * * *", 'column 1: minute "1/2/3": too many slashes'),
        ("@daily", 'column 1: "@daily" is a descriptor, which is not supported; write five fields'),
        ("TZ=UTC 0 0 * * *", 'column 1: "TZ=UTC"'),
        ("0 0 30 2 *", 'column 5: day-of-month "30": "0 0 30 2 *" has no occurrence within eight years'),
        ("0 , * * *", 'column 3: hour ",": an item of the list is empty'),
        ("1,,2 * * * *", 'column 3: minute "1,,2": an item of the list is empty'),
        ("0 0 * * mon,", 'column 13: day-of-week "mon,": an item of the list is empty'),
        ("0 0 1 * ,", 'column 9: day-of-week ",": an item of the list is empty'),
        ("*-5 * * * *", 'column 1: minute "*-5": a star has no range; write 0-N, or a step as in */5'),
        ("?-9/7 * * * *", 'column 1: minute "?-9/7": a star has no range; write 0-N, or a step as in ?/5'),
        ("0 0 * * 7", 'column 9: day-of-week "7": 7 is above the maximum 6; Sunday is 0'),
        ("0 0 * * 5-7", 'column 9: day-of-week "5-7": 7 is above the maximum 6; Sunday is 0'),
        ("0 0 * * sat-sun", 'column 9: day-of-week "sat-sun": the range begins at 6, after its end 0; Sunday is 0'),
    ],
)
def test_a_refusal_names_the_field_and_what_is_accepted(expression: str, reason: str) -> None:
    with pytest.raises(CronInvalid) as failure:
        check_cron(expression, TODAY)
    assert failure.value.reason.startswith(reason)


def test_a_leap_day_is_an_occurrence_also_where_the_next_one_is_eight_years_away() -> None:
    check_cron("0 0 29 2 *", date(2096, 3, 1))
