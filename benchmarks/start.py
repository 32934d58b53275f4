"""The start of `gestaltd`: until it is ready with store, workflow provider and plugins, and until it prints its help.

    python -m benchmarks.start [--repeats N] [--plugins N ...] [--packages source locked]

The floor is a process that imports what a plugin imports and ends: a host with n plugins is n + 3 processes, each of
which imports at least that. Floor and start are measured in turn. The CPU is that of all processes up to the moment of
ready; "first" is a start in a folder where nothing is kept yet, so that each plugin from source is run once more to
write its catalogue. "locked" is `serve --locked` with every provider from our own release archives, locked and
installed before, and has one more floor: reading and hashing each installed file once, which such a start must do.
"""

from __future__ import annotations

import argparse
import http.client
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import cpu_of_ended_children_s, cpu_s, memory_mb, processes
from gestalt_host.packages.digests import sha256_of
from tests.support.commands import ROOT
from tests.support.released import STORE, WORKFLOW, released
from tests.support.rigs.gestaltd import Gestaltd, free_port

REFERENCE = "the reference implementation, three plugins, on two cores: 3.2 s locked, 24 s from source"
HELP_WANTED_S = 0.15
READY_WITHIN_S = 120.0
POLL_S = 0.01
SERVE = (sys.executable, "-m", "gestalt_host.daemon", "serve")
SEARCH = "plugins/search"
PLUGIN = ROOT / "tests" / "support" / "plugins" / "rig"
CONFIG = """
apiVersion: gestaltd.config/v5
server:
  public: {{host: 127.0.0.1, port: {port}}}
  encryptionKey: "a key for measurements only"
providers:
  indexeddb:
    store:
      source: {store}
      config: {{dsn: "sqlite://{folder}/state.db"}}
  workflow:
    local:
      source: {workflow}
      indexeddb: {{provider: store, db: workflow}}
plugins:
{plugins}
"""
IMPORTS = f"""
from pathlib import Path
from gestalt_sdk.common.lean_imports import lean_imports
with lean_imports():
    from gestalt_sdk.serving import process, targets
    targets.find_provider(Path({str(PLUGIN)!r}), "rig_plugin:provider", "integration")
"""


@dataclass(frozen=True)
class Packages:
    """Where the providers come from, as the configuration names it; ``plugin`` is used for all plugins."""

    store: str
    workflow: str
    plugin: str
    is_locked: bool = False


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of the processors."""

    wall_s: float
    cpu_s: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.start", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="how often each figure is taken (5)")
    parser.add_argument("--plugins", type=int, nargs="*", default=[1, 3, 10], help="how many plugins (1 3 10)")
    parser.add_argument("--packages", nargs="*", choices=PACKAGES, default=[*PACKAGES], help="from where (both)")
    options = parser.parse_args()
    print(f"# start: {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"# command: {Path(sys.executable).name} -m benchmarks.start {' '.join(sys.argv[1:])}".rstrip())
    print(f"# {REFERENCE}")
    help_text(options.repeats)
    for count in options.plugins:
        for packages in options.packages:
            with tempfile.TemporaryDirectory(prefix="gstb-") as name:
                started(Path(name), count, options.repeats, PACKAGES[packages]())
    return 0


def help_text(repeats: int) -> None:
    """Print what `gestaltd --help` takes, beside a Python that does nothing."""
    asked: list[Spent] = []
    nothing: list[Spent] = []
    for _ in range(repeats):
        nothing.append(run([sys.executable, "-c", "pass"]))
        asked.append(run([str(Path(sys.executable).with_name("gestaltd")), "--help"]))
    print(f"python -c pass: {_described(nothing)}")
    print(f"gestaltd --help [< {HELP_WANTED_S} s]: {_described(asked)}; {_ratios(asked, nothing)} of python -c pass")


def from_source() -> Packages:
    """Return the packages of this tree and the tests' plugin, used where they lie."""
    store, workflow = (f"{{path: {ROOT}/providers/{name}/manifest.yaml}}" for name in ("indexeddb_store", "indexeddb"))
    return Packages(store, workflow, f"{{path: {PLUGIN}/manifest.yaml}}")


def from_releases() -> Packages:
    """Return our own releases, built when no run before has built them, with the example plugin ``search``."""
    store, workflow, plugin = (
        f"{released()}/providers/{name}/provider-release.yaml" for name in (STORE, WORKFLOW, SEARCH)
    )
    return Packages(store, workflow, plugin, is_locked=True)


PACKAGES: dict[str, Callable[[], Packages]] = {"source": from_source, "locked": from_releases}


def started(folder: Path, count: int, repeats: int, packages: Packages) -> None:
    """Print what starts with so many plugins take, the first and later ones, and what each process holds then."""
    floors: list[Spent] = []
    firsts: list[Spent] = []
    later: list[Spent] = []
    words = "1 plugin" if count == 1 else f"{count} plugins"
    for number in range(repeats):
        home = folder / ("locked" if packages.is_locked else str(number))
        if not home.exists():
            home.mkdir()
            configure(home, count, packages)
        floors.append(run([sys.executable, "-c", IMPORTS]))
        if not packages.is_locked:
            firsts.append(start(home))
        is_last = number == repeats - 1
        later.append(start(home, memory if is_last else None, is_locked=packages.is_locked))
        if not is_last and not packages.is_locked:
            shutil.rmtree(home)
    print(f"imports of one plugin: {_described(floors)}")
    for name, spent in (("first", firsts), ("later", later)):
        if spent:
            kind = "locked" if packages.is_locked else name
            ratios = _ratios(spent, floors)
            print(f"{words}, {count + 3} processes, {kind} start: {_described(spent)}; {ratios} of the imports")


def configure(folder: Path, count: int, packages: Packages) -> None:
    """Write the configuration with so many plugins; lock and install what comes from releases."""
    config = folder / "gestalt.yaml"
    plugins = "\n".join(f"  p{number}: {{source: {packages.plugin}}}" for number in range(count))
    sources = {"store": packages.store, "workflow": packages.workflow, "plugins": plugins}
    config.write_text(CONFIG.format(port=free_port(), folder=folder, **sources))
    if not packages.is_locked:
        return
    for command in (["lock"], ["sync", "--locked"]):
        run([*SERVE[:-1], *command, "--config", str(config)])
    files = [path for path in folder.rglob("*") if path.is_file()]
    begin, begin_cpu_s = time.perf_counter(), time.process_time()
    for path in files:
        sha256_of(path)
    spent = Spent(time.perf_counter() - begin, time.process_time() - begin_cpu_s)
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    print(f"{len(files)} installed files, {size_mb:.0f} MB, each read and hashed: {_described([spent])}")


def start(folder: Path, look: Callable[[Gestaltd], None] | None = None, *, is_locked: bool = False) -> Spent:
    """Start the host that is configured in the folder, measure until it is ready, look at it, and end it."""
    config = folder / "gestalt.yaml"
    port = int(config.read_text().partition("port: ")[2].partition("}")[0])
    host = Gestaltd([config], {}, port, folder, program=(*SERVE, "--locked") if is_locked else SERVE)
    begin = time.perf_counter()
    host.launch()
    try:
        _await_ready(host)
        wall_s = time.perf_counter() - begin
        spent_s = sum(cpu_s(pid) for _, pid in processes(host)) + sum(cpu_s(child.pid) for child in host.helpers())
        spent = Spent(wall_s, spent_s + cpu_of_ended_children_s(host.pid))
        if look is not None:
            look(host)
        return spent
    finally:
        host.stop()


def memory(host: Gestaltd) -> None:
    """Print what each process holds."""
    found = [*processes(host), *(("keeper of process groups", child.pid) for child in host.helpers())]
    rows = [(name, *memory_mb(pid)) for name, pid in found]
    for name, rss_mb, pss_mb in rows:
        print(f"memory {name}: RSS {rss_mb:.0f} MB, PSS {pss_mb:.0f} MB")
    print(f"memory together, {len(rows)} processes: PSS {sum(pss_mb for *_, pss_mb in rows):.0f} MB")


def run(command: Sequence[str]) -> Spent:
    """Run a command to its end."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    wall_s, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return Spent(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _await_ready(host: Gestaltd) -> None:
    deadline = time.perf_counter() + READY_WITHIN_S
    while time.perf_counter() < deadline:
        assert host.process is not None
        if host.process.poll() is not None:
            break
        connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(POLL_S)
    raise SystemExit(f"gestaltd is not ready:\n{host.log[-4000:]}")


def _described(spent: Sequence[Spent]) -> str:
    walls, cpus = [each.wall_s for each in spent], [each.cpu_s for each in spent]
    return (
        f"{statistics.median(walls):.2f} s (least {min(walls):.2f}), "
        f"CPU {statistics.median(cpus):.2f} s (least {min(cpus):.2f})"
    )


def _ratios(spent: Sequence[Spent], floors: Sequence[Spent]) -> str:
    """Return the medians of the ratios of what was measured in turn, by the clock and in CPU."""
    pairs = list(zip(spent, floors, strict=True))
    wall = statistics.median(each.wall_s / floor.wall_s for each, floor in pairs)
    cpu = statistics.median(each.cpu_s / floor.cpu_s for each, floor in pairs)
    return f"{wall:.1f} times by the clock, {cpu:.1f} times in CPU"


if __name__ == "__main__":
    sys.exit(main())
