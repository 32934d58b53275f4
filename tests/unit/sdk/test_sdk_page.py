"""docs/sdk.md, run as it stands: its pieces, and that it has every public name and no other."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

import gestalt_sdk
from gestalt_sdk.agent import AgentHostClient, NewTurn
from gestalt_sdk.gen.v1 import agent_pb2, agent_pb2_grpc
from gestalt_sdk.transport import Address, open_channel
from tests.support.commands import ROOT
from tests.support.pages import Block, blocks
from tests.support.rigs.store import StoreProcess, short_folder

PAGE = ROOT / "docs" / "sdk.md"
SDK = Path(gestalt_sdk.__file__).parent
BLOCKS = list(blocks(PAGE.read_text()))
CODE = [block for block in BLOCKS if block.language == "python"]
PIECES = [block for block in CODE if not block.file]
SECTIONS = list(dict.fromkeys(piece.section for piece in PIECES))
PACKAGES = [
    ".".join(("gestalt_sdk", *path.parent.relative_to(SDK).parts))
    for path in sorted(SDK.rglob("__init__.py"))
    if "gen" not in path.relative_to(SDK).parts
]


class Tools(agent_pb2_grpc.AgentHostServicer):
    """The host's side of the tools that the page's agent uses."""

    async def ListTools(self, request: Any, context: Any) -> Any:
        return agent_pb2.ListAgentToolsResponse(tools=[agent_pb2.ListedAgentTool(id="1", mcp_name="notes_add")])

    async def ExecuteTool(self, request: Any, context: Any) -> Any:
        return agent_pb2.ExecuteAgentToolResponse(status=201)

    async def ResolveConnection(self, request: Any, context: Any) -> Any:
        return agent_pb2.ResolvedAgentConnection(headers={"Authorization": "Bearer x"})


@asynccontextmanager
async def agent_host(folder: Path) -> AsyncIterator[Callable[[NewTurn], AgentHostClient]]:
    server = grpc.aio.server()
    agent_pb2_grpc.add_AgentHostServicer_to_server(Tools(), server)
    server.add_insecure_port(f"unix:{folder}/tools.sock")
    await server.start()
    channel = open_channel(Address(f"unix:{folder}/tools.sock"))
    try:
        yield lambda turn: AgentHostClient(channel, turn)
    finally:
        await channel.close()
        await server.stop(0)


@pytest.fixture(scope="module")
def store() -> Iterator[StoreProcess]:
    with short_folder() as folder:
        process = StoreProcess(Path(folder), {"dsn": f"sqlite://{folder}/store.db"})
        process.start()
        try:
            yield process
        finally:
            process.stop()


def pieces_of(section: str) -> Iterator[types.CodeType]:
    """Yield the compiled pieces of a section; an error in one names its line of the page."""
    for piece in PIECES:
        if piece.section == section:
            tree = ast.parse("\n" * (piece.line - 1) + piece.text)
            yield compile(tree, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("section", SECTIONS)
async def test_the_pieces_of_each_section_run(
    section: str, store: StoreProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Annotations at the top level are evaluated in a module of that name, and dataclasses look it up.
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    monkeypatch.setattr(os, "environ", {**os.environ, "GESTALT_INDEXEDDB_SOCKET": str(store.socket)})
    with short_folder() as folder:
        monkeypatch.chdir(folder)
        async with agent_host(Path(folder)) as module.__dict__["agent_host"]:
            for code in pieces_of(section):
                running = types.FunctionType(code, module.__dict__)()
                if inspect.iscoroutine(running):
                    await running


def public_names() -> dict[str, set[str]]:
    return {package: set(importlib.import_module(package).__all__) for package in PACKAGES}


@dataclass(frozen=True)
class Import:
    """A name that a block takes from the SDK."""

    line: int
    module: str
    name: str
    is_used: bool
    """Whether its file, or its section, does something with it besides importing it."""


def imports() -> Iterator[Import]:
    """Yield what the blocks of the page take from the SDK."""
    in_section = {section: used(block for block in PIECES if block.section == section) for section in SECTIONS}
    for block in CODE:
        names = used([block]) if block.file else in_section[block.section]
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "gestalt_sdk":
                for alias in node.names:
                    is_used = (alias.asname or alias.name) in names
                    yield Import(block.line + node.lineno - 1, str(node.module), alias.name, is_used)


def used(code: Iterable[Block]) -> set[str]:
    return {node.id for block in code for node in ast.walk(ast.parse(block.text)) if isinstance(node, ast.Name)}


def test_every_public_name_is_used_in_an_example() -> None:
    shown = {taken.name for taken in imports() if taken.is_used}
    missing = {package: sorted(names - shown) for package, names in public_names().items() if names - shown}
    assert not missing, missing


def test_examples_import_public_names_alone_and_use_each() -> None:
    public = public_names()
    wrong = [
        f"line {taken.line}: {taken.module}.{taken.name}{'' if taken.is_used else ' is not used'}"
        for taken in imports()
        if not taken.is_used
        or (not taken.module.startswith("gestalt_sdk.gen.") and taken.name not in public.get(taken.module, ()))
    ]
    assert not wrong, wrong
