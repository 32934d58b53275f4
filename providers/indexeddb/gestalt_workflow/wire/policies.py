"""Convert policies and pauses from generated messages, checked, and back."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from gestalt_sdk.gen.extension.v1 import policies_pb2 as pb
from gestalt_sdk.transport.values import from_timestamp, to_timestamp
from gestalt_workflow.model import policies
from gestalt_workflow.model.errors import InvalidRequest
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

_ZERO = timedelta()
_LONGEST = timedelta(days=3650)


def schedule_policy_from_proto(message: pb.SchedulePolicy, *, present: bool) -> SchedulePolicy:
    """Return the policy, the plain one when absent.

    Raises:
        InvalidRequest: a value is out of its range; names field, value and range.
    """
    if not present:
        return PLAIN
    run = run_policy_from_proto(message.run, present=message.HasField("run"), name="policy.run")
    overlap = Overlap(_choice(message.overlap, pb.OverlapPolicy, "policy.overlap") or Overlap.ALLOW)
    jitter = _span(message, "jitter", "policy.jitter", _ZERO, policies.LONGEST_JITTER)
    policy = SchedulePolicy(_catchup(message.catchup), overlap, jitter or _ZERO, run)
    return PLAIN if policy == PLAIN else policy


def _catchup(message: pb.CatchUp) -> CatchUp:
    name = "policy.catchup"
    mode = CatchUpMode(_choice(message.mode, pb.CatchUpMode, f"{name}.mode") or CatchUpMode.LATEST)
    window = _span(message, "window", f"{name}.window", policies.SHORTEST_WINDOW, _LONGEST)
    if not 0 <= message.cap <= policies.LARGEST_CAP:
        raise InvalidRequest(
            f"{name}.cap is {message.cap}; accepted are 1 to {policies.LARGEST_CAP}, and 0 for the default"
        )
    return CatchUp(mode, window, message.cap or policies.DEFAULT_CAP)


def run_policy_from_proto(message: pb.RunPolicy, *, present: bool, name: str = "policy") -> RunPolicy:
    """Return the policy, the plain one when absent; raises as ``schedule_policy_from_proto``."""
    if not present:
        return PLAIN_RUN
    retry = _retry(message.retry, f"{name}.retry") if message.HasField("retry") else None
    timeout = _span(message, "timeout", f"{name}.timeout", policies.SHORTEST_TIMEOUT, policies.LONGEST_TIMEOUT)
    policy = RunPolicy(retry, timeout)
    return PLAIN_RUN if policy == PLAIN_RUN else policy


def _retry(message: pb.RetryPolicy, name: str) -> Retry:
    if not 1 <= message.max_attempts <= policies.MOST_ATTEMPTS:
        raise InvalidRequest(
            f"{name}.max_attempts is {message.max_attempts}; accepted are 1 to {policies.MOST_ATTEMPTS}"
        )
    longest = policies.LONGEST_BACKOFF
    initial = _span(message, "initial_backoff", f"{name}.initial_backoff", _ZERO, longest)
    if initial is None:
        initial = policies.DEFAULT_INITIAL_BACKOFF
    limit = _span(message, "max_backoff", f"{name}.max_backoff", _ZERO, longest)
    if limit is None:
        limit = max(policies.DEFAULT_MAX_BACKOFF, initial)
    if limit < initial:
        raise InvalidRequest(
            f"{name}.max_backoff is {limit.total_seconds():g} s; it must not be less than initial_backoff, "
            f"{initial.total_seconds():g} s"
        )
    kinds = frozenset(_retry_on(kind, f"{name}.retry_on") for kind in message.retry_on)
    return Retry(message.max_attempts, initial, limit, kinds or policies.DEFAULT_RETRY_ON)


def _retry_on(number: int, name: str) -> RetryOn:
    value = _choice(number, pb.RetryOn, name)
    if not value:
        raise InvalidRequest(f"{name} has {pb.RetryOn.Name(0)}; name the failures to retry on")
    return RetryOn(value)


def _choice(number: int, enum: object, name: str) -> int:
    """Return the number if the enum has it; 0 is unspecified."""
    known = enum.values()  # type: ignore[attr-defined]
    if number not in known:
        raise InvalidRequest(f"{name} is {number}; accepted are {min(known)} to {max(known)}")
    return number


def _span(message: object, field: str, name: str, shortest: timedelta, longest: timedelta) -> timedelta | None:
    """Return the duration in that field, None when absent."""
    if not message.HasField(field):  # type: ignore[attr-defined]
        return None
    duration: Duration = getattr(message, field)
    seconds = duration.seconds + duration.nanos / 1e9
    if not shortest.total_seconds() <= seconds <= longest.total_seconds():
        raise InvalidRequest(
            f"{name} is {seconds:g} s; accepted are {shortest.total_seconds():g} s to {longest.total_seconds():g} s"
        )
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


def pause_from_proto(message: pb.Pause, *, present: bool) -> Pause | None:
    """Return what is said of a pause, None when nothing is; ``paused_at`` is the provider's."""
    if not present:
        return None
    if len(message.note) > policies.LONGEST_NOTE:
        raise InvalidRequest(
            f"pause.note has {len(message.note)} characters; accepted are up to {policies.LONGEST_NOTE}"
        )
    until = from_timestamp(message.until) if message.HasField("until") else None
    return Pause(message.note.strip(), message.subject_id.strip(), message.display_name, until)


def schedule_policy_to_proto(policy: SchedulePolicy) -> pb.SchedulePolicy | None:
    """Return the policy; None for the plain one."""
    if policy == PLAIN:
        return None
    catchup = policy.catchup
    return pb.SchedulePolicy(
        catchup=None
        if catchup == PLAIN.catchup
        else pb.CatchUp(
            mode=f"CATCH_UP_MODE_{catchup.mode.name}",
            window=_duration(catchup.window),
            cap=catchup.cap if catchup.mode is CatchUpMode.ALL else 0,
        ),
        overlap=f"OVERLAP_POLICY_{policy.overlap.name}" if policy.overlap is not Overlap.ALLOW else None,
        jitter=_duration(policy.jitter or None),
        run=run_policy_to_proto(policy.run),
    )


def run_policy_to_proto(policy: RunPolicy) -> pb.RunPolicy | None:
    """Return the policy; None for the plain one."""
    if policy == PLAIN_RUN:
        return None
    retry = policy.retry
    return pb.RunPolicy(
        retry=None
        if retry is None
        else pb.RetryPolicy(
            max_attempts=retry.max_attempts,
            initial_backoff=_duration(retry.initial_backoff),
            max_backoff=_duration(retry.max_backoff),
            retry_on=[f"RETRY_ON_{kind.name}" for kind in sorted(retry.retry_on)],
        ),
        timeout=_duration(policy.timeout),
    )


def pause_to_proto(pause: Pause | None) -> pb.Pause | None:
    """Return the pause; None for none."""
    if pause is None:
        return None
    return pb.Pause(
        note=pause.note,
        subject_id=pause.subject_id,
        display_name=pause.display_name,
        until=to_timestamp(pause.until) if pause.until is not None else None,
        paused_at=to_timestamp(pause.paused_at) if pause.paused_at is not None else None,
    )


def _duration(span: timedelta | None) -> Duration | None:
    if span is None:
        return None
    duration = Duration()
    duration.FromTimedelta(span)
    return duration
