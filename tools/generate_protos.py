#!/usr/bin/env python3
"""Generate the Python code of every .proto file below proto/ into gestalt_sdk/gen/.

Usage: generate_protos.py [--check]

`--check` writes nothing and exits 1 when the committed code is not what proto/ generates.
"""

from __future__ import annotations

import argparse
import filecmp
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
TARGET = ROOT / "gestalt_sdk" / "gen"
PACKAGE = "gestalt_sdk.gen"
# protoc writes imports relative to the proto root; the code lives inside a package.
IMPORT = re.compile(r"^from (v1|extension\.v1) import", re.MULTILINE)


def run_protoc(root: Path, *options: str, sources: Sequence[str] = ()) -> None:
    """Run protoc on files below ``root``, by default on every .proto file; end the program when it fails."""
    site = Path(grpc_tools.__file__).parent
    sources = sources or [str(path.relative_to(root)) for path in sorted(root.rglob("*.proto"))]
    # site-packages has google/rpc, grpc_tools the well-known types.
    status = protoc.main(["protoc", f"-I{root}", f"-I{site / '_proto'}", f"-I{site.parent}", *options, *sources])
    if status:
        sys.exit(f"protoc failed with status {status}")


def describe(root: Path, target: Path) -> None:
    """Write the descriptors of every .proto file below ``root``, with comments and imports, as a FileDescriptorSet."""
    run_protoc(root, "--include_imports", "--include_source_info", f"--descriptor_set_out={target}")


def generate(target: Path) -> None:
    """Write the generated packages into ``target``, which must be empty."""
    run_protoc(PROTO, f"--python_out={target}", f"--pyi_out={target}", f"--grpc_python_out={target}")
    for path in (*target.rglob("*.py"), *target.rglob("*.pyi")):
        path.write_text(IMPORT.sub(rf"from {PACKAGE}.\1 import", path.read_text()))
    for folder in {path.parent for path in target.rglob("*.py")} | {target, target / "extension"}:
        (folder / "__init__.py").write_text('"""Generated from proto/ by `make gen`; never edited."""\n')


def files(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in root.rglob("*.py*") if path.suffix in (".py", ".pyi")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        if options.check:
            names = files(fresh) | files(TARGET)
            stale = [n for n in sorted(names) if not _same(fresh / n, TARGET / n)]
            for name in stale:
                print(f"gestalt_sdk/gen/{name} is not what proto/ generates; run `make gen`", file=sys.stderr)
            return 1 if stale else 0
        shutil.rmtree(TARGET, ignore_errors=True)
        shutil.copytree(fresh, TARGET)
    return 0


def _same(left: Path, right: Path) -> bool:
    return left.exists() and right.exists() and filecmp.cmp(left, right, shallow=False)


if __name__ == "__main__":
    sys.exit(main())
