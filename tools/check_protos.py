#!/usr/bin/env python3
"""Check proto/ with buf: names as proto/buf.yaml asks for, and nothing that breaks peers of the commit before.

Usage: python -m tools.check_protos

The commit before is HEAD while proto/ has changes that are not committed, else its first parent. What cannot be done is
said and skipped: everything without buf, the comparison without git or without that commit. Exits 1 on a finding.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools.generate_protos import PROTO, ROOT, describe

CONFIG = PROTO / "buf.yaml"


def main() -> int:
    buf = find_buf()
    if buf is None:
        print("proto-check skipped: no buf in the environment or on PATH; `pip install buf-bin` has it")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        tree, reason = proto_before()
        if not tree:
            print(f"comparison with the commit before skipped: {reason}")
            return int(not check(buf, PROTO, None))
        before = Path(scratch)
        _unpack(tree, before)
        return int(not check(buf, PROTO, before))


def find_buf() -> str | None:
    """Return the path of buf: the environment's own, else the one on PATH; None without either."""
    return shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")


def check(buf: str, root: Path, before: Path | None) -> bool:
    """Return whether buf finds nothing in the protos below ``root``, compared with those below ``before``; it prints
    what it finds."""
    # Only our packages, not those that they import.
    options = [f"--config={CONFIG}", *(f"--path={folder.name}" for folder in sorted(root.iterdir()) if folder.is_dir())]
    with tempfile.TemporaryDirectory() as scratch:
        now, earlier = Path(scratch, "now.binpb"), Path(scratch, "earlier.binpb")
        describe(root, now)
        runs = [["lint", str(now)]]
        if before is not None:
            describe(before, earlier)
            runs.append(["breaking", str(now), "--against", str(earlier)])
        codes = [subprocess.run([buf, *run, *options], cwd=root, check=False).returncode for run in runs]
        return not any(codes)


def proto_before() -> tuple[str, str]:
    """Return the git tree of proto/ to compare with, blank when there is none, and then why."""
    if shutil.which("git") is None:
        return "", "no git on PATH"
    commit = "HEAD" if _git("status", "--porcelain", "--", "proto").stdout else "HEAD^"
    tree = f"{commit}:./proto"
    if _git("rev-parse", "--verify", "--quiet", tree).returncode:
        return "", f"there is no {commit} with a proto/ here (a single commit, a shallow clone, or no git checkout)"
    return tree, ""


def _unpack(tree: str, folder: Path) -> None:
    archive = _git("archive", "--format=tar", tree)
    if archive.returncode:
        sys.exit(f"git archive {tree} failed: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
