"""Read and write the fields of stored records that hold policies and pauses; a plain policy has none."""

from __future__ import annotations

from datetime import datetime, timedelta

from gestalt_sdk.indexeddb import Record
from gestalt_workflow.model.clock import MICROSECOND
from gestalt_workflow.model.policies import (
    PLAIN,
    PLAIN_RUN,
    CatchUp,
    CatchUpMode,
    Overlap,
    Pause,
    Retry,
    RetryOn,
    RunPolicy,
    SchedulePolicy,
)


def schedule_policy_fields(policy: SchedulePolicy) -> Record:
    """Return the fields of the policy."""
    if policy is PLAIN:
        return {}
    catchup, plain = policy.catchup, PLAIN.catchup
    return {
        "catchup": int(catchup.mode) if catchup.mode is not plain.mode else None,
        "catchup_window_us": _us(catchup.window),
        "catchup_cap": catchup.cap if catchup.cap != plain.cap else None,
        "overlap": int(policy.overlap) if policy.overlap is not PLAIN.overlap else None,
        "jitter_us": _us(policy.jitter) or None,
        **run_policy_fields(policy.run),
    }


def schedule_policy(record: Record) -> SchedulePolicy:
    """Return the policy that the record's fields hold."""
    policy = SchedulePolicy(
        CatchUp(
            CatchUpMode(record.get("catchup", PLAIN.catchup.mode)),
            _span(record, "catchup_window_us"),
            record.get("catchup_cap", PLAIN.catchup.cap),
        ),
        Overlap(record.get("overlap", PLAIN.overlap)),
        _span(record, "jitter_us") or timedelta(),
        run_policy(record),
    )
    return PLAIN if policy == PLAIN else policy


def run_policy_fields(policy: RunPolicy) -> Record:
    """Return the fields of the policy."""
    if policy is PLAIN_RUN:
        return {}
    retry = policy.retry
    fields: Record = {"timeout_us": _us(policy.timeout)}
    if retry is not None:
        kinds = sorted(int(kind) for kind in retry.retry_on)
        fields["retry"] = [retry.max_attempts, _us(retry.initial_backoff), _us(retry.max_backoff), *kinds]
    return fields


def run_policy(record: Record) -> RunPolicy:
    """Return the policy that the record's fields hold."""
    timeout, retry = _span(record, "timeout_us"), record.get("retry")
    if timeout is None and retry is None:
        return PLAIN_RUN
    if retry is None:
        return RunPolicy(None, timeout)
    attempts, initial, longest, *kinds = (int(part) for part in retry)
    on = frozenset(RetryOn(kind) for kind in kinds)
    return RunPolicy(Retry(attempts, initial * MICROSECOND, longest * MICROSECOND, on), timeout)


def pause_fields(pause: Pause | None) -> Record:
    """Return the fields of the pause."""
    if pause is None:
        return {}
    return {
        "pause_note": pause.note,
        "pause_subject": pause.subject_id,
        "pause_name": pause.display_name,
        "pause_until": pause.until,
        "paused_at": pause.paused_at,
    }


def pause(record: Record) -> Pause | None:
    """Return the pause that the record's fields hold; None when they hold none."""
    found = Pause(
        record.get("pause_note", ""),
        record.get("pause_subject", ""),
        record.get("pause_name", ""),
        _time(record, "pause_until"),
        _time(record, "paused_at"),
    )
    return found if found != Pause() else None


def _us(span: timedelta | None) -> int | None:
    return None if span is None else span // MICROSECOND


def _span(record: Record, name: str) -> timedelta | None:
    value = record.get(name)
    return None if value is None else int(value) * MICROSECOND


def _time(record: Record, name: str) -> datetime | None:
    value = record.get(name)
    if value is not None and not isinstance(value, datetime):
        raise TypeError(f"{name} is not a time")
    return value
