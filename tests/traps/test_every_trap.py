"""No trap without a test that is named after it."""

from __future__ import annotations

import re
from string import ascii_lowercase

from tests.traps import test_engine_traps, test_host_traps, test_provider_traps

HISTORICAL = {f"{number:02}" for number in range(1, 31)}
LATENT = set(ascii_lowercase[: ascii_lowercase.index("r") + 1])
NAME = re.compile(r"test_trap_(\d\d|[a-z])_(?:and_(\d\d|[a-z])_)?")


def test_every_trap_of_section_22_has_a_test() -> None:
    names = [name for module in (test_provider_traps, test_engine_traps, test_host_traps) for name in vars(module)]
    found = {trap for match in map(NAME.match, names) if match for trap in match.groups() if trap}
    assert found == HISTORICAL | LATENT
