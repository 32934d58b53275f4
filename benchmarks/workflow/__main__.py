"""``python -m benchmarks.workflow [SECTION ...]``: measures the workflow engine; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from benchmarks.disk import fsync_s
from benchmarks.workflow.databases import Databases
from benchmarks.workflow.firing import lateness, minute
from benchmarks.workflow.kinds import kinds
from benchmarks.workflow.published import accept, published
from benchmarks.workflow.publishing import publish
from benchmarks.workflow.sizes import FULL, TINY, Sizes
from benchmarks.workflow.standing import idle, startup
from benchmarks.workflow.stored import engine, stored

SECTIONS: Mapping[str, Callable[[Databases, Sizes], None]] = {
    "engine": engine,
    "stored": stored,
    "published": published,
    "accept": accept,
    "publish": publish,
    "kinds": kinds,
    "lateness": lateness,
    "minute": minute,
    "startup": startup,
    "idle": idle,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.workflow", description="Measure the workflow engine.")
    parser.add_argument("sections", nargs="*", help=f"all by default: {', '.join(SECTIONS)}")
    parser.add_argument("--history", type=int, help=f"finished runs stored beforehand ({FULL.history})")
    parser.add_argument("--runs", type=int, help=f"stored runs to execute ({FULL.runs})")
    parser.add_argument("--repeats", type=int, help=f"times that a figure with history is taken ({FULL.repeats})")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the written databases there, to use them again"
    )
    parser.add_argument("--tiny", action="store_true", help="everything so small that the figures mean nothing")
    options = parser.parse_args()
    if unknown := [name for name in options.sections if name not in SECTIONS]:
        parser.error(f"unknown section {unknown[0]!r}; known are {', '.join(SECTIONS)}")
    given = {name: getattr(options, name) for name in ("history", "runs", "repeats")}
    sizes = replace(TINY if options.tiny else FULL, **{name: value for name, value in given.items() if value})
    print(f"# workflow: {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(
        f"# command: {Path(sys.executable).name} -m benchmarks.workflow {' '.join(sys.argv[1:])}".rstrip(), flush=True
    )
    root = options.keep or Path(tempfile.mkdtemp(prefix="gstb-", dir="/tmp"))
    try:
        databases = Databases(root)
        root.mkdir(parents=True, exist_ok=True)
        print(f"# an fsync of 16 KiB takes {1e3 * fsync_s(root):.2f} ms", flush=True)
        for name in options.sections or SECTIONS:
            print(f"## {name}", flush=True)
            SECTIONS[name](databases, sizes)
    finally:
        if options.keep is None:
            shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
