"""The documented identifiers (semantics.md 3)."""

from __future__ import annotations

from datetime import UTC, datetime

from gestalt_workflow.model import ids


def test_documented_vectors() -> None:
    assert ids.manual_run("github", "", "k1") == "manual:d5e901badb5a3011691f40ed1b1490c9"
    assert ids.event_run("t1", "src", "e1") == "event:e82d5aed7f5f4d891876e6f650d825af"
    assert (
        ids.signal_with_key("github", "", "run-1", "sig-1")
        == "workflow_signal:66f0b5fec77d738a642bbcfe56eda13069b5e72a648e3b4f8e8da87f7d8399b4"
    )


def test_a_subject_makes_keys_of_its_own() -> None:
    for make in (ids.manual_run, ids.key_row, ids.signal_row):
        assert len({make("svc", subject, "k") for subject in ("", "user:a", "user:b")}) == 3


def test_a_scheduled_run_is_named_by_its_slot() -> None:
    assert ids.scheduled_run("a:b", datetime(2026, 5, 1, 3, tzinfo=UTC)) == "schedule:a:b:2026-05-01T03:00:00Z"
