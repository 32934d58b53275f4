"""The rules of the suite of stores, which `gestaltd provider verify` tries on any store, hold on every way to ours."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import grpc
import pytest

from gestalt_host.packages.languages import LaunchCommand
from gestalt_host.verification.report import Outcome
from gestalt_host.verification.run import verify
from gestalt_host.verification.subject import Candidate
from gestalt_host.verification.suites.indexeddb import STORE_RULES, durability
from gestalt_host.verification.suites.indexeddb.rules import StoreRule
from gestalt_sdk.bases.provider import ProviderKind
from gestalt_sdk.gen.extension.v1 import batch_pb2
from tests.support.commands import ROOT, STORE
from tests.support.rigs.store import Service

CAPABLE = [rule for rule in STORE_RULES if rule.capability]


@pytest.mark.parametrize("rule", [rule for rule in STORE_RULES if not rule.capability], ids=lambda rule: rule.id)
async def test_a_rule_is_kept(service: Service, rule: StoreRule) -> None:
    await rule.attempt(service)


@pytest.mark.ours("store")
@pytest.mark.parametrize("rule", CAPABLE, ids=lambda rule: rule.id)
async def test_a_rule_of_an_extension_is_kept(service: Service, rule: StoreRule) -> None:
    if service.relayed and rule.capability == "indexeddb.batch":
        with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):  # a relay serves the contract alone
            await service.batch.GetMany(batch_pb2.GetManyRequest(store="none"), timeout=10)
    else:
        await rule.attempt(service)


async def test_what_is_committed_outlives_the_process(tmp_path: Path, foreign_socket: Path | None) -> None:
    """Only through a process of its own: nothing of it is about the way to the store."""
    if foreign_socket is not None:
        pytest.skip("a store behind a socket cannot be killed")
    command = LaunchCommand(tuple(shlex.split(STORE.text)), {"PYTHONPATH": str(ROOT)})
    candidate = Candidate(ProviderKind.INDEXEDDB, command, STORE.text, {"dsn": "sqlite://{dir}/store.db"})
    report = await verify(candidate, durability.RULES, {**os.environ, "TMPDIR": str(tmp_path)})
    assert [finding for finding in report.findings if finding.outcome is not Outcome.PASSED] == []
