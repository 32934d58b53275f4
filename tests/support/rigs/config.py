from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gestalt_host.config import ConfigurationInvalid, HostConfig, load

MINIMAL = """
server: {encryptionKey: k}
providers:
  indexeddb:
    main: {source: ./store/manifest.yaml, config: {dsn: "sqlite://x.db"}}
  workflow:
    local: {source: ./workflow/manifest.yaml, indexeddb: {provider: main, db: wf}}
plugins:
  echo: {source: ./echo/manifest.yaml}
"""

Loader = Callable[..., HostConfig]


@pytest.fixture
def loaded(tmp_path: Path) -> Loader:
    """Loads texts as layers of one configuration: ``a.yaml``, ``b.yaml``, ..."""

    def load_texts(
        *texts: str, environ: Mapping[str, str] | None = None, static: bool = False, tokens: bool | None = None
    ) -> HostConfig:
        return load(write(tmp_path, *texts), environ or {}, static=static, tokens=tokens)

    return load_texts


@pytest.fixture
def faults(tmp_path: Path) -> Callable[..., list[str]]:
    """Loads texts that are wrong; the problems as ``file:line: path: reason`` without the directory."""

    def problems(
        *texts: str, environ: Mapping[str, str] | None = None, static: bool = False, tokens: bool | None = None
    ) -> list[str]:
        with pytest.raises(ConfigurationInvalid) as failure:
            load(write(tmp_path, *texts), environ or {}, static=static, tokens=tokens)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in failure.value.problems]

    return problems


def write(directory: Path, *texts: str) -> list[Path]:
    paths = []
    for name, text in zip("abcdef", texts, strict=False):
        path = directory / f"{name}.yaml"
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        paths.append(path)
    return paths
