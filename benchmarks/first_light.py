"""First figures of the whole path: event over HTTP → workflow provider → host → plugin → run recorded.

    make bench        or        .venv/bin/python -m benchmarks.first_light

One host, one store on SQLite, one workflow provider, one plugin whose operation returns at once; the load generator
runs on the same machine. A run has ended at its recorded ``completedAt``; one that did not succeed ends the benchmark.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import httpx
import orjson

from benchmarks.echo import calls_per_second
from benchmarks.load import post_all
from benchmarks.processes import cpu_s, processes
from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import Gestaltd, free_port
from tests.support.waiting import until

CLIENTS = 8
EVENTS = 1_000
HISTORY = 5_000
IDLE_S = 10.0
RUNS_WITHIN_S = 600.0
EVENT_TYPE = "benchmark.happened"
CONFIG = """
apiVersion: gestaltd.config/v5
server:
  public: {{host: 127.0.0.1, port: {port}}}
  encryptionKey: "a key for measurements only"
providers:
  indexeddb:
    store:
      source: {{path: {root}/providers/indexeddb_store/manifest.yaml}}
      config: {{dsn: "sqlite://{folder}/state.db"}}
  workflow:
    local:
      source: {{path: {root}/providers/indexeddb/manifest.yaml}}
      indexeddb: {{provider: store, db: workflow}}
      config: {{pollInterval: 1s}}
plugins:
  bench: {{source: {{path: {root}/tests/support/plugins/rig/manifest.yaml}}}}
"""


def main() -> int:
    print(f"# first light: {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"# command: {Path(sys.executable).name} -m benchmarks.first_light")
    with tempfile.TemporaryDirectory(prefix="gstb-") as name:
        folder = Path(name)
        port = free_port()
        config = folder / "gestalt.yaml"
        config.write_text(CONFIG.format(port=port, root=ROOT, folder=folder))
        host = Gestaltd([config], {}, port, folder)
        try:
            begin = time.perf_counter()
            host.start()
            print(f"gestaltd to ready: {time.perf_counter() - begin:.2f} s")
            trigger = _create_trigger(host)
            _published(host, trigger, "warm", 20)
            _measure(host, trigger, "empty", "no history")
            _idle(host, f"{EVENTS:,} runs of history")
            for part in range((HISTORY - EVENTS) // 1_000):
                _published(host, trigger, f"history-{part}", 1_000)
            _measure(host, trigger, "full", f"{HISTORY:,} runs of history")
            _idle(host, f"{HISTORY + EVENTS:,} runs of history")
            _memory(host)
        finally:
            host.stop()
    return 0


def _create_trigger(host: Gestaltd) -> str:
    target = {"plugin": {"name": "bench", "operation": "noop"}}
    body = {"match": {"type": EVENT_TYPE}, "target": target}
    answer = host.post("/workflow/event-triggers", body)
    if answer.status_code not in (200, 201):
        raise SystemExit(f"creating the trigger: {answer.status_code} {answer.text}")
    trigger: str = answer.json()["id"]
    return trigger


def _published(host: Gestaltd, trigger: str, batch: str, count: int) -> tuple[float, float]:
    """Publish and wait for the last run. Returns seconds until the last was accepted, and until the last had ended."""
    ids = [f"{batch}-{number}" for number in range(count)]
    bodies = [orjson.dumps({"type": EVENT_TYPE, "source": "bench", "id": event}) for event in ids]
    begin = time.time()
    statuses = asyncio.run(post_all(host.port, "/api/v1/workflow/events", bodies, clients=CLIENTS))
    accepted_s = time.time() - begin
    if refused := [status for status in statuses if status >= 300]:
        raise SystemExit(f"{len(refused)} of {count} publishes were refused, the first with {refused[0]}")
    runs = [_run_id(trigger, event) for event in ids]
    for run in runs[-4 * CLIENTS :]:  # asks for few runs while the others are still executed
        _ended_at(host, run)
    known = {run["id"]: run for run in host.get("/workflow/runs")}
    if failed := [run for run in runs if known[run]["status"] in ("failed", "canceled")]:
        raise SystemExit(f"{len(failed)} runs failed: {known[failed[0]]}")
    late = {run: _ended_at(host, run) for run in runs if not known[run].get("completedAt")}
    ended = max(late.get(run) or _instant(known[run]["completedAt"]) for run in runs)
    return accepted_s, ended - begin


def _run_id(trigger: str, event: str) -> str:
    """Id of the run, which follows from trigger, source and event (semantics.md 3)."""
    return "event:" + hashlib.sha256("\0".join([trigger, "bench", event]).encode()).hexdigest()[:32]


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _ended_at(host: Gestaltd, run: str) -> float:
    def completed() -> str:
        answer = httpx.get(f"{host.url}/api/v1/workflow/runs/{run}", timeout=30)
        value: str = answer.json().get("completedAt", "")
        return value

    return _instant(until(completed, within_s=RUNS_WITHIN_S, what=lambda: f"{run} ended"))


def _measure(host: Gestaltd, trigger: str, batch: str, what: str) -> None:
    """One figure, and the floor measured right before it: neighbours on the machine slow down both."""
    echo = calls_per_second()
    print(f"grpc.aio unary echo, unix socket, {CLIENTS} clients: {echo:,.0f} calls/s")
    accepted_s, ended_s = _published(host, trigger, batch, EVENTS)
    rate = EVENTS / ended_s
    print(
        f"{what}: {EVENTS:,} events, {CLIENTS} clients: {rate:,.0f} runs/s ({rate / echo:.3f} of the echo), "
        f"accepted {EVENTS / accepted_s:,.0f} events/s"
    )


def _idle(host: Gestaltd, what: str) -> None:
    """CPU seconds a second of all processes while nothing happens."""
    before = {pid: cpu_s(pid) for _, pid in processes(host)}
    time.sleep(IDLE_S)
    spent = sum(cpu_s(pid) - before[pid] for _, pid in processes(host) if pid in before)
    print(f"idle, {what}: {spent / IDLE_S:.3f} of a core, {len(before)} processes")


def _memory(host: Gestaltd) -> None:
    total = 0
    for name, pid in processes(host):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        pss_kb = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        total += pss_kb
        print(f"memory (PSS) {name}: {pss_kb / 1024:.0f} MB")
    print(f"memory (PSS) together: {total / 1024:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
