#!/usr/bin/env python3
"""Generate the contract that the examples in examples/providers share, from proto/.

Usage: generate_examples.py TARGET

Writes `TARGET/go`; `TARGET` is examples/providers/contract, or a folder to compare with. Needs Go, whose plugins of
protoc it installs into the cache that the tests share.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

from tools.generate_protos import PROTO, run_protoc

GO_MODULE = "github.com/gestalt-workflows/gestalt/examples/providers/contract/go"
GO_PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.6",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1",
}
# What plugins, workflow providers and what they call need, and what those files import.
FILES = {
    "provider": ("v1/agent.proto", "v1/datastore.proto", "v1/plugin.proto", "v1/runtime.proto", "v1/workflow.proto"),
    "extension": ("extension/v1/causes.proto", "extension/v1/health.proto", "extension/v1/policies.proto"),
}


def generate_go(target: Path) -> None:
    """Write the Go packages `provider` and `extension` into ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    options = []
    for name, plugin in zip(("go", "go-grpc"), _go_plugins(), strict=True):
        options += [
            f"--plugin=protoc-gen-{name}={plugin}",
            f"--{name}_out={target}",
            f"--{name}_opt=module={GO_MODULE}",
        ]
        options += [f"--{name}_opt=M{file}={GO_MODULE}/{package}" for package, files in FILES.items() for file in files]
    run_protoc(PROTO, *options, sources=[file for files in FILES.values() for file in files])


def _go_plugins() -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gestalt-tests" / "protoc-plugins"
    programs = []
    for name, module in GO_PLUGINS.items():
        folder = cache / module.rpartition("@")[2]
        if not (folder / name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["go", "install", module], env={**os.environ, "GOBIN": str(folder)}, cwd=cache, check=True)
        programs.append(folder / name)
    return programs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", type=Path)
    generate_go(parser.parse_args().target.absolute() / "go")


if __name__ == "__main__":
    main()
