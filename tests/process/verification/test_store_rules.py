"""Each rule of stores is broken by a fault of its kind, planted in a store that keeps every rule without one."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from gestalt_host.packages import LaunchCommand
from gestalt_host.verification.outcomes import Broken
from gestalt_host.verification.report import Outcome
from gestalt_host.verification.run import rules_for, verify
from gestalt_host.verification.subject import Candidate
from gestalt_host.verification.suites.indexeddb import STORE_RULES, durability
from gestalt_host.verification.suites.indexeddb.client import StoreClient
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.transport.channels import SERVER_OPTIONS
from tests.support.commands import ROOT
from tests.support.plugins.faulty.stores import FAULTS, FORGETS, IS_CONFIGURED, LEAKS, LOSES_WHEN_KILLED, Store
from tests.support.rigs.store import short_folder

FAULTY = ROOT / "tests" / "support" / "plugins" / "faulty" / "faulty.py"
HURRIED_S = 2.0
"""For faults that are shown by waiting in vain."""
RULES = {rule.id.removeprefix("contract.md "): rule for rule in STORE_RULES}
PLANTED = {
    "5.3/same-schema": "takes_any_schema",
    "5.3/odd-schema": "wants_a_schema",
    "5.3/not-enforced": "enforces_not_null",
    "5.3/delete-store": "keeps_deleted_stores",
    "5.3/any-name": "wants_names",
    "5.3/missing-store": "has_its_own_texts",
    "5.3/missing-record": "has_its_own_texts",
    "5.3/add-and-put": "adds_over",
    "5.3/delete-and-clear": "clears_nothing",
    "5.3/ranges": "ignores_open_bounds",
    "5.3/many-records": "lists_a_hundred",
    "5.2/order": "lists_backwards",
    "5.2/index-order": "lists_indexes_backwards",
    "5.3/text-key": "trims_ids",
    "5.3/typed-key": "finds_nothing_for_odd_ids",
    "5.3/keys-of-other-types": "makes_whole_doubles_integers",
    "5.3/key-column": "takes_the_first_key_column",
    "5.1/round-trip": "makes_integers_doubles",
    "5.1/nan": "loses_nan",
    "5.1/plain-json": "wraps_plain_json",
    "5.1/null": "drops_nulls",
    "5.1/nested": "flattens_deep_maps",
    "5.1/invalid-time": "takes_any_time",
    "5.1/invalid-time-in-streams": "takes_any_time_in_streams",
    "5.4/values": "compares_values_loosely",
    "5.4/compound-bounds": "drops_scalar_bounds",
    "5.4/key-path": "indexes_fields_at_the_top",
    "5.4/unique": "takes_what_is_not_unique",
    "5.4/index-reads": "counts_one_more",
    "5.4/index-delete": "deletes_and_says_nothing",
    "5.6/directions": "walks_forward_only",
    "5.6/entries": "sends_no_key_parts",
    "5.6/advance": "advances_one_less",
    "5.6/continue-index": "continues_by_one",
    "5.6/continue-store": "continues_by_one",
    "5.6/continue-key": "continues_by_one",
    "5.6/equal-numbers": "has_no_unique_cursors",
    "5.6/range": "ignores_cursor_ranges",
    "5.6/update": "answers_updates_without_record",
    "5.6/delete": "is_done_when_it_deleted",
    "5.6/update-conflict": "refuses_with_unknown",
    "5.6/no-current-record": "refuses_with_unknown",
    "5.6/snapshot": "shows_cursors_what_others_write",
    "5.6/deleted-store": "ends_cursors_of_deleted_stores",
    "5.6/frames": "refuses_with_unknown",
    "5.6/open-errors": "refuses_with_unknown",
    "5.6/close": "cancels_what_is_closed",
    "5.6/prefetch": "prefetches_unasked",
    "5.7/visibility": "hides_own_writes",
    "5.7/results": "counts_one_more_inside",
    "5.7/failed-operation": "fails_with_unknown",
    "5.7/merged-reads": "forgets_keys_inside",
    "5.7/changes-of-hands": "deletes_too_late",
    "5.7/read-only": "writes_read_only",
    "5.7/scope": "fails_without_a_text",
    "5.7/begin": "refuses_with_unknown",
    "5.7/frames": "refuses_with_unknown",
    "5.7/not-committed": "commits_what_is_aborted",
    "5.7/sent-ahead": "answers_number_one",
    "5.7/late-reader": "cuts_large_values_inside",
    "5.7/snapshot": "reads_what_is_not_committed",
    "5.7/durability": "wants_known_hints",
    "5.7/delete-range": "wants_ranges_inside",
    "5.7/many-open": "has_room_for_ten",
    "5.7/counters": "reads_what_it_read_first",
    "5.7/write-skew": "reads_what_it_read_first",
    "5.7/overlapping-scopes": "loses_some_writes",
    "5.3/adds-at-once": "adds_over",
    "5/batch-order": "answers_in_another_order",
    "5/batch-conditions": "ignores_conditions",
    "5/batch-current": "returns_no_current",
    "5/batch-required": "requires_nothing",
    "5/batch-refused": "passes_over_what_it_refuses",
    "5/batch-claims": "ignores_conditions",
    "5/batch-get-many": "sorts_what_it_finds",
    "5/batch-pages": "begins_pages_again",
    "5/batch-pages-go-on": "begins_pages_again",
    "5/batch-bad-pages": "takes_any_page",
    "5.5/large-list": "fails_for_sizes",
    "5.5/large-record": "cuts_large_values",
    "5.5/undecodable": "takes_no_message_for_an_empty_one",
    "5.3/long-texts": "cuts_long_texts",
}
"""A rule, and the fault of ``stores.py`` that breaks it."""
OF_ITS_LIFE = {
    "contract.md 5.5/not-configured": IS_CONFIGURED,
    "contract.md 5.7/left-open": LEAKS,
    "contract.md 5.7/kept-after-sigterm": FORGETS,
    "contract.md 5.7/kept-after-kill": LOSES_WHEN_KILLED,
    "contract.md 5.7/killed-under-load": LOSES_WHEN_KILLED,
}
"""The same for the rules that need the process of the store."""


@asynccontextmanager
async def serving(fault: str) -> AsyncIterator[Path]:
    with short_folder() as folder:
        server = grpc.aio.server(options=SERVER_OPTIONS)
        store = Store(Path(folder) / "store.db", fault)
        store.add_to(server)
        await store.configure()
        server.add_insecure_port(f"unix:{folder}/p.sock")
        await server.start()
        try:
            yield Path(folder) / "p.sock"
        finally:
            await server.stop(0)
            await store.close()


@pytest.mark.parametrize(("rule", "fault"), PLANTED.items())
async def test_a_planted_fault_is_caught_by_its_rule(rule: str, fault: str) -> None:
    async with serving(fault) as socket, StoreClient(socket, deadline_s=HURRIED_S) as client:
        with pytest.raises(Broken) as broken:
            await RULES[rule].attempt(client)
    assert broken.value.expected
    assert broken.value.seen


@pytest.mark.parametrize(("rule", "fault"), OF_ITS_LIFE.items())
async def test_a_fault_of_its_life_is_caught_by_its_rule(tmp_path: Path, rule: str, fault: str) -> None:
    command = LaunchCommand((sys.executable, str(FAULTY)), {"FAULT": fault, "KIND": "indexeddb"})
    candidate = Candidate(ProviderKind.INDEXEDDB, command, "faulty")
    [finding] = (await verify(candidate, rules_for(candidate.kind, [rule]), os.environ)).findings
    assert finding.outcome is Outcome.FAILED, finding


@pytest.mark.nightly
async def test_a_store_without_a_fault_keeps_every_rule() -> None:
    async with serving("") as socket:
        for rule in STORE_RULES:
            async with StoreClient(socket) as client:
                await rule.attempt(client)


def test_every_rule_of_stores_has_a_planted_fault_and_every_fault_a_rule() -> None:
    assert set(PLANTED) == set(RULES)
    assert set(OF_ITS_LIFE) == {rule.id for rule in durability.RULES}
    assert set(PLANTED.values()) == set(FAULTS)
