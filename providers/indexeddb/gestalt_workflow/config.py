"""Read the provider's ``config`` into one frozen value, or say every reason why it cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gestalt_sdk.bases.provider import ConfigFault
from gestalt_sdk.timing.durations import DurationInvalid, parse_duration
from gestalt_workflow.model.errors import InvalidConfiguration

FOREVER = "forever"
UNLIMITED = "unlimited"
DEDUPLICATED_FOR = timedelta(days=7)
"""Repeats are recognised for at least this long: nothing they are recognised by is removed before."""
_LEAST_KEPT = "168h"
_FORM = "a duration such as 500ms, 1m30s or 10m"
_KEYS = (
    "pollInterval",
    "workerCount",
    "runClaimTTL",
    "runClaimRenewEvery",
    "maxResultBytes",
    "maxListBytes",
    "keepRunsFor",
    "keepRuns",
    "keepEventsFor",
    "keepEvents",
    "keepSlotsFor",
    "keepReferencesFor",
    "keepIdleFor",
    "maxConcurrentPerTarget",
    "targetLimits",
    "runsPerCommit",
    "maxChain",
    "maxCaused",
    "overdueAfter",
)
_MIB = 1024 * 1024
_MOST_RESULT_BYTES = 16 * _MIB
_MOST_LIST_BYTES = 63 * _MIB
_MOST_CONCURRENT = 1000
_MOST_RUNS_PER_COMMIT = 9_998
"""A commit has at most 10 000 writes, and one that makes runs of an event has two besides."""


@dataclass(frozen=True, slots=True)
class Config:
    """How this process works; the keys are in the README.

    Attributes:
        poll_interval: How often it looks for work that other processes left; at most once a second.
        worker_count: Runs that it invokes at once.
        claim_ttl: How long a claim holds without renewal.
        claim_renew_every: How often all claims are renewed.
        max_result_bytes: Longer results are cut.
        max_list_bytes: Lists that are longer are refused; pages are not.
        keep_runs_for: How long a run stays after its end; None for ever.
        keep_runs: How many runs stay, those that have not ended included; None: any number.
        keep_events_for: How long an event stays after it was published first; None for ever.
        keep_events: How many events stay; None: any number.
        keep_slots_for: How long a range of slots that did not fire stays after its last slot; None for ever.
        keep_references_for: How long an execution reference that nothing names stays after its end; None for ever.
        keep_idle_for: How long a schedule or trigger stays of which nothing can come; None for ever.
        max_concurrent_per_target: Runs of one plugin or agent provider that run at once in all processes; None: any.
        target_limits: The same by name, see ``dispatch.limits``; 0 lifts ``max_concurrent_per_target``.
        runs_per_commit: Runs of an event that one commit makes; the others follow in further commits.
        max_chain: Events and started runs that may follow from one root, one from the other.
        max_caused: Runs of one root that may be made within an hour.
        overdue_after: How long a run may wait for a free worker until that is told.
        warnings: Keys that mean nothing here; shown to the operator, never fatal.
    """

    poll_interval: timedelta = timedelta(seconds=1)
    worker_count: int = 4
    claim_ttl: timedelta = timedelta(minutes=10)
    claim_renew_every: timedelta = timedelta(minutes=10) / 3
    max_result_bytes: int = _MIB
    max_list_bytes: int = _MOST_LIST_BYTES
    keep_runs_for: timedelta | None = timedelta(days=90)
    keep_runs: int | None = None
    keep_events_for: timedelta | None = timedelta(days=7)
    keep_events: int | None = 100_000
    keep_slots_for: timedelta | None = timedelta(days=90)
    keep_references_for: timedelta | None = timedelta(days=90)
    keep_idle_for: timedelta | None = None
    max_concurrent_per_target: int | None = None
    target_limits: Mapping[str, int] = field(default_factory=dict)
    runs_per_commit: int = _MOST_RUNS_PER_COMMIT
    max_chain: int = 1000
    max_caused: int = 10_000
    overdue_after: timedelta = timedelta(minutes=1)
    warnings: tuple[str, ...] = field(default=())


def read_config(values: Mapping[str, object]) -> Config:
    """Return the configuration; zero and negative values mean the default.

    Raises:
        InvalidConfiguration: a value has the wrong form; names every such key.
    """
    config, faults = judge_config(values)
    problems = [str(fault) for fault in faults if not fault.is_warning]
    if problems:
        raise InvalidConfiguration("; ".join(problems))
    return config


def judge_config(values: Mapping[str, object]) -> tuple[Config, list[ConfigFault]]:
    """Return the configuration, with defaults where it has faults, and all that is wrong or unknown."""
    problems: list[ConfigFault] = []
    default = Config()
    poll = _duration(values, "pollInterval", default.poll_interval, problems)
    ttl = _duration(values, "runClaimTTL", default.claim_ttl, problems)
    renew = _duration(values, "runClaimRenewEvery", ttl / 3, problems)
    workers = _count(values, "workerCount", default.worker_count, problems)
    result_bytes = _count(values, "maxResultBytes", default.max_result_bytes, problems, most=_MOST_RESULT_BYTES)
    list_bytes = _count(values, "maxListBytes", default.max_list_bytes, problems, most=_MOST_LIST_BYTES)
    week = (DEDUPLICATED_FOR, _LEAST_KEPT)
    keep = _keeping(
        values, "keepRunsFor", default.keep_runs_for, problems, week, ": repeats are recognised by the runs kept"
    )
    runs = _keeping_count(values, "keepRuns", default.keep_runs, problems)
    events_for = _keeping(values, "keepEventsFor", default.keep_events_for, problems)
    events = _keeping_count(values, "keepEvents", default.keep_events, problems)
    slots = _keeping(values, "keepSlotsFor", default.keep_slots_for, problems)
    references = _keeping(values, "keepReferencesFor", default.keep_references_for, problems, week)
    idle = _keeping(values, "keepIdleFor", default.keep_idle_for, problems, week)
    concurrent = _count(values, "maxConcurrentPerTarget", 0, problems, most=_MOST_CONCURRENT) or None
    per_commit = _count(values, "runsPerCommit", default.runs_per_commit, problems, most=_MOST_RUNS_PER_COMMIT)
    limits = _limits(values, "targetLimits", problems)
    overdue = _duration(values, "overdueAfter", default.overdue_after, problems)
    chain = _count(values, "maxChain", default.max_chain, problems)
    caused = _count(values, "maxCaused", default.max_caused, problems)
    if renew >= ttl:
        renew = ttl / 3
    unknown = [key for key in values if key not in _KEYS]
    config = Config(
        poll,
        workers,
        ttl,
        renew,
        result_bytes,
        list_bytes,
        keep,
        keep_runs=runs,
        keep_events_for=events_for,
        keep_events=events,
        keep_slots_for=slots,
        keep_references_for=references,
        keep_idle_for=idle,
        max_concurrent_per_target=concurrent,
        target_limits=limits,
        runs_per_commit=per_commit,
        max_chain=chain,
        max_caused=caused,
        overdue_after=overdue,
        warnings=tuple(f"unknown configuration key {key!r}; known are {', '.join(_KEYS)}" for key in unknown),
    )
    known = f"is unknown; known are {', '.join(_KEYS)}"
    return config, [*problems, *(ConfigFault(key, known, is_warning=True) for key in unknown)]


def _duration(values: Mapping[str, object], key: str, default: timedelta, problems: list[ConfigFault]) -> timedelta:
    value = values.get(key)
    if value is None:
        return default
    try:
        duration = parse_duration(value if isinstance(value, str) else "")
    except DurationInvalid:
        problems.append(ConfigFault(key, f"is {value!r}; expected {_FORM}"))
        return default
    return duration if duration > timedelta() else default


def _keeping(
    values: Mapping[str, object],
    key: str,
    default: timedelta | None,
    problems: list[ConfigFault],
    least: tuple[timedelta, str] = (timedelta(minutes=1), "1m"),
    reason: str = "",
) -> timedelta | None:
    """Return how long something stays, None for ever; ``least``: the shortest time accepted, and how it is written."""
    value = values.get(key)
    if value is None:
        return default
    if isinstance(value, str) and value.strip() == FOREVER:
        return None
    shortest, shown = least
    try:
        duration = parse_duration(value if isinstance(value, str) else "")
    except DurationInvalid:
        problems.append(
            ConfigFault(key, f"is {value!r}; expected a duration such as 720h, at least {shown}, or {FOREVER}")
        )
        return default
    if timedelta() < duration < shortest:
        problems.append(ConfigFault(key, f"is {value!r}; expected at least {shown}{reason}"))
    return duration if duration > timedelta() else default


def _keeping_count(
    values: Mapping[str, object], key: str, default: int | None, problems: list[ConfigFault]
) -> int | None:
    """Return how many of something stay, None for any number."""
    value = values.get(key)
    if isinstance(value, str) and value.strip() == UNLIMITED:
        return None
    if isinstance(value, str):
        problems.append(ConfigFault(key, f"is {value!r}; expected a whole number such as 100000, or {UNLIMITED}"))
        return default
    return _count(values, key, 0, problems) or default


def _limits(values: Mapping[str, object], key: str, problems: list[ConfigFault]) -> dict[str, int]:
    value = values.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.append(
            ConfigFault(key, f"is {value!r}; expected a mapping such as {{slack: 2, slack.chat.postMessage: 1}}")
        )
        return {}
    limits: dict[str, int] = {}
    for name, runs in value.items():
        if not name.strip():
            problems.append(ConfigFault(key, f"is {value!r}; expected names such as slack, slack.send or agent:writer"))
        limits[name.strip()] = _count({f"{key}.{name}": runs}, f"{key}.{name}", 0, problems, most=_MOST_CONCURRENT)
    return limits


def _count(
    values: Mapping[str, object], key: str, default: int, problems: list[ConfigFault], *, most: int | None = None
) -> int:
    value = values.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not float(value).is_integer():
        problems.append(ConfigFault(key, f"is {value!r}; expected a whole number such as 4"))
        return default
    if most is not None and value > most:
        problems.append(ConfigFault(key, f"is {value!r}; expected at most {most}"))
    return int(value) if value > 0 else default
