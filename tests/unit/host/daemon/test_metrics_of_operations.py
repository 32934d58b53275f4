"""How operations of plugins without code ended, in `/metrics`."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, generate_latest

from gestalt_host.daemon.reports.metrics import RestMetrics
from gestalt_host.invocation.rest.egress import EgressRules
from gestalt_host.invocation.rest.runner import OUTCOMES, RestRunner
from gestalt_host.packages.manifests.rest_model import RestSurface
from tests.support.commands import ROOT


async def test_every_end_is_told_from_zero_on_and_named_on_the_page() -> None:
    runner = RestRunner(RestSurface("http://upstream.test", {}), EgressRules(), "shop")
    runner.outcomes["timeout"] += 2
    registry = CollectorRegistry()
    registry.register(RestMetrics(lambda: [runner]))
    told = re.findall(
        r'gestalt_rest_operations_total\{outcome="(\w+)",provider="shop"\} (\S+)', generate_latest(registry).decode()
    )
    assert dict(told) == {outcome: "2.0" if outcome == "timeout" else "0.0" for outcome in OUTCOMES}
    (row,) = re.findall(
        r"^\| `gestalt_rest_operations_total.*$", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE
    )
    assert all(f"`{outcome}`" in row for outcome in OUTCOMES)
