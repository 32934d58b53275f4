from __future__ import annotations

import pytest

from gestalt_host.config.cron import CronInvalid, check_cron
from tests.support.cron_vectors import VECTORS

ACCEPTED = sorted({vector["cron"] for vector in VECTORS if "refused" not in vector})
REFUSED = sorted({vector["cron"] for vector in VECTORS if "refused" in vector})


@pytest.mark.parametrize("expression", ACCEPTED)
def test_expressions_with_slots_are_accepted(expression: str) -> None:
    check_cron(expression)


@pytest.mark.parametrize("expression", REFUSED)
def test_expressions_that_the_provider_refuses_are_refused(expression: str) -> None:
    with pytest.raises(CronInvalid):
        check_cron(expression)


@pytest.mark.parametrize("expression", ["*-5 * * * *", "*-x * * * *", "+5 05 * * *", "*/100 * * * *", "0 0 , * 1"])
def test_leniencies_are_kept(expression: str) -> None:
    check_cron(expression)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("0 25 * * *", "hour: end of range (25) above maximum (23): 25"),
        ("0 0 * * mon-foo", "day of week: 'foo' in 'mon-foo' is not a number; accepted are 0-6 and sun, mon"),
        ("*/0 * * * *", "minute: step of range should be a positive number: */0"),
        ("1/2/3 * * * *", "minute: too many slashes: 1/2/3"),
        ("@daily", "descriptors such as @daily are not supported; write five fields"),
        ("TZ=UTC 0 0 * * *", "a time zone prefix is not supported; set the timezone beside it"),
        ("0 0 30 2 *", "it has no occurrence within five years"),
    ],
)
def test_a_refusal_names_the_field_and_what_is_accepted(expression: str, reason: str) -> None:
    with pytest.raises(CronInvalid) as failure:
        check_cron(expression)
    assert str(failure.value).startswith(reason)
