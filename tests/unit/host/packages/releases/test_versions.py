"""Versions, constraints, and which version is chosen (packaging.md 1.3, 9)."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt_host.packages.errors import PackageInvalid
from gestalt_host.packages.releases.versions import Constraint, Version, is_version

# The order that the specification of semantic versions gives as its example, and what it leaves out.
IN_ORDER = [
    *("0.0.0-0", "0.0.0", "0.0.1", "0.9.10", "0.10.0", "1.0.0--", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta"),
    *("1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.0+a", "1.0.0+b", "1.0.1", "2.0.0"),
]


def test_versions_are_in_their_order() -> None:
    for smaller, larger in pairwise(map(Version.parse, IN_ORDER)):
        assert smaller < larger
        assert not larger < smaller
    assert [str(Version.parse(text)) for text in IN_ORDER] == IN_ORDER


NO_VERSIONS = [
    "",
    "1",
    "1.2",
    "v1.2.3",
    "01.2.3",
    "1.2.3-",
    "1.2.3-01",
    "1.2.3+",
    " 1.2.3",
    "1.2.3 ",
    "1.2.3\n",
    "1.2.x",
]
NO_VERSIONS += ["", "1.2.3-a..b", "1.2.3.4", "\u0661.2.3", f"1.2.3-{'a' * 300}", f"{'9' * 5000}.0.0"]


@pytest.mark.parametrize("text", NO_VERSIONS)
def test_what_is_no_version_is_refused(text: str) -> None:
    assert not is_version(text)
    with pytest.raises(PackageInvalid, match="is not a semantic version such as"):
        Version.parse(text)


ALLOWED = {
    "1": (["1.0.0", "1.9.9"], ["0.9.0", "2.0.0", "1.0.0-a"]),
    "1.x": (["1.0.0", "1.9.9"], ["2.0.0"]),
    "1.2": (["1.2.0", "1.2.9"], ["1.3.0"]),
    "*": (["0.0.0", "9.9.9"], ["1.0.0-a"]),
    "1.2.3": (["1.2.3", "1.2.3+b"], ["1.2.4", "1.2.3-a"]),
    "v1.2.3": (["1.2.3"], ["1.2.4"]),
    "1.2.3+b": (["1.2.3+b"], ["1.2.3", "1.2.3+c"]),
    "=1.2.3": (["1.2.3"], ["1.2.4"]),
    "!=1.2": (["1.3.0", "1.1.9"], ["1.2.0", "1.2.9"]),
    ">1.2": (["1.3.0"], ["1.2.0", "1.2.9"]),
    ">1.2.3": (["1.2.4"], ["1.2.3", "1.2.3+b"]),
    ">=1.2": (["1.2.0", "2.0.0"], ["1.1.9"]),
    "=>1.2": (["1.2.0"], ["1.1.9"]),
    "<1.2": (["1.1.9"], ["1.2.0", "1.2.0-a"]),
    "<=1.2": (["1.2.9", "1.1.0"], ["1.3.0"]),
    "~1": (["1.9.0"], ["2.0.0"]),
    "~1.2": (["1.2.9"], ["1.3.0"]),
    "~1.2.3": (["1.2.3", "1.2.9"], ["1.2.2", "1.3.0"]),
    "~>1.2.3": (["1.2.9"], ["1.3.0"]),
    "^1.2.3": (["1.2.3", "1.9.0"], ["1.2.2", "2.0.0"]),
    "^0.2.3": (["0.2.3", "0.2.9"], ["0.3.0", "1.0.0"]),
    "^0.0.3": (["0.0.3"], ["0.0.4", "0.1.0"]),
    "^0.0": (["0.0.9"], ["0.1.0"]),
    "^0": (["0.9.9"], ["1.0.0"]),
    ">=1.0.0 <1.1.0": (["1.0.0", "1.0.9"], ["1.1.0", "0.9.9"]),
    ">=1.0.0, <1.1.0": (["1.0.9"], ["1.1.0"]),
    ">= 1.0.0,< 1.1.0": (["1.0.9"], ["1.1.0"]),
    "1.0 - 1.4": (["1.0.0", "1.4.9"], ["1.5.0", "0.9.9"]),
    "^1 || ^3": (["1.0.0", "3.1.0"], ["2.0.0"]),
    ">=2.0.0-0": (["2.0.0-rc.1", "2.0.0", "3.0.0-a"], ["1.9.9", "1.0.0-a"]),
    "^1.2.0-a": (["1.2.0-a", "1.2.0-b", "1.2.0", "1.3.0-a"], ["2.0.0-a", "2.0.0"]),
    "^1.0.0-a || 3": (["1.1.0-a", "3.0.0"], ["3.1.0-a"]),
}


@pytest.mark.parametrize("text", ALLOWED)
def test_a_constraint_allows_what_ranges_usually_do(text: str) -> None:
    constraint = Constraint.parse(text)
    allowed, refused = ALLOWED[text]
    assert [one for one in allowed if not constraint.allows(Version.parse(one))] == []
    assert [one for one in refused if constraint.allows(Version.parse(one))] == []


@pytest.mark.parametrize(
    "text",
    ["latest", "1.2.3.4", ">", "^", "1 ||", "|| 1", "1,", ",1", ">>1", "1.2.3-", "=!1", "<>1", "1 2 three", "1" * 300],
)
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(PackageInvalid, match="accepted are"):
        Constraint.parse(text)


def test_a_yanked_version_is_had_by_its_bare_text_alone() -> None:
    version = Version.parse("1.2.0")
    assert Constraint.parse(" 1.2.0 ").allows(version, yanked=True)
    for text in ("", "=1.2.0", "v1.2.0", "^1.2.0", ">=1.2.0 <=1.2.0", "1.2"):
        assert not Constraint.parse(text).allows(version, yanked=True)


# The rules once more, in the slowest way that there is ----------------------------------------------------------------


def order(text: str) -> tuple[object, ...]:
    """Return what compares as versions do; written from the specification of semantic versions alone."""
    rest, _, build = text.partition("+")
    core, _, pre = rest.partition("-")
    parts = (
        [(0, int(part), "") if re.fullmatch("[0-9]+", part) else (1, 0, part) for part in pre.split(".")] if pre else []
    )
    return (*(int(number) for number in core.split(".")), 0 if pre else 1, parts, build)


def between(text: str, low: str, high: str) -> bool:
    """Return whether low <= text < high, a pre-release of the upper bound counting as the next line of versions."""
    return order(low)[:5] <= order(text)[:5] and order(text)[:3] < order(high)[:3]


def accepts(sign: str, bound: str, text: str) -> bool:
    core = bound.partition("-")[0]
    major, minor, patch = (int(number) for number in core.split("."))
    same = order(text)[:5] == order(bound)[:5]
    if sign == "^":
        high = f"{major + 1}.0.0" if major else f"0.{minor + 1}.0" if minor else f"0.0.{patch + 1}"
        return between(text, bound, high)
    if sign == "~":
        return between(text, bound, f"{major}.{minor + 1}.0")
    below = order(text)[:5] < order(bound)[:5]
    return {
        "": same,
        "=": same,
        "!=": not same,
        "<": below,
        "<=": below or same,
        ">": not below and not same,
        ">=": not below,
    }[sign]


def oracle(constraint: list[tuple[str, str]], offered: dict[str, bool]) -> str | None:
    bare = constraint[0][1] if len(constraint) == 1 and constraint[0][0] == "" else None
    mentioned = any("-" in bound for _, bound in constraint)
    possible = []
    for text, yanked in offered.items():
        if text == bare:
            return text
        fits = all(accepts(sign, bound, text) for sign, bound in constraint)
        if fits and not yanked and (not constraint or mentioned or "-" not in text):
            possible.append(text)
    stable = [text for text in possible if "-" not in text]
    return max(stable if stable and not constraint else possible, key=order, default=None)


numbers = st.integers(0, 3)
cores = st.tuples(numbers, numbers, numbers).map(lambda found: ".".join(map(str, found)))
versions = st.tuples(cores, st.sampled_from(["", "", "-0", "-a", "-a.1", "-a.10", "-b"])).map("".join)
comparators = st.tuples(st.sampled_from(["", "=", "!=", "<", "<=", ">", ">=", "~", "^"]), versions)


@given(
    st.lists(comparators, max_size=3),
    st.dictionaries(versions, st.booleans(), max_size=12),
    st.sampled_from([" ", ", ", ",", "  "]),
)
def test_the_version_that_is_chosen_is_that_of_the_rules(
    constraint: list[tuple[str, str]], offered: dict[str, bool], between: str
) -> None:
    text = between.join(f"{sign}{bound}" for sign, bound in constraint)
    chosen = Constraint.parse(text).choose((Version.parse(one), yanked) for one, yanked in offered.items())
    assert (None if chosen is None else str(chosen)) == oracle(constraint, offered)


@given(st.text(max_size=20))
def test_whatever_the_text_it_is_a_constraint_or_refused(text: str) -> None:
    with suppress(PackageInvalid):
        Constraint.parse(text).allows(Version.parse("1.2.3"))
