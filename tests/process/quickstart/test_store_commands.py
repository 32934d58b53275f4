"""`gestaltd store`: backup, restore and check of databases, by DSN or by the name of a configured store."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gestalt_host.verification.suites.indexeddb.client import DEADLINE_S
from gestalt_host.verification.suites.indexeddb.messages import index, record
from gestalt_sdk.gen.v1 import datastore_pb2 as pb
from gestalt_sdk.gen.v1 import datastore_pb2_grpc
from tests.support.commands import ROOT
from tests.support.rigs.gestaltd import INHERITED
from tests.support.rigs.postgres import PostgresServer
from tests.support.rigs.store import StoreProcess, short_folder

CONFIG = """
server: {{encryptionKey: "a key for tests only"}}
providers:
  indexeddb:
    main: {{source: {{builtin: indexeddb_store}}, default: true, config: {{dsn: "{dsn}"}}}}
    other: {{source: {{builtin: indexeddb_store}}, config: {{dsn: "${{OTHER_DSN}}"}}}}
    foreign: {{source: {foreign}, config: {{dsn: "sqlite://x.db"}}}}
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a database with ten records; never changed."""
    path = tmp_path_factory.mktemp("kept") / "s.db"
    with short_folder() as folder:
        store = StoreProcess(Path(folder), {"dsn": f"sqlite://{path}"})
        store.start()
        with store.connect() as channel:
            stub = datastore_pb2_grpc.IndexedDBStub(channel)
            schema = pb.ObjectStoreSchema(indexes=[index("n", "n")])
            stub.CreateObjectStore(pb.CreateObjectStoreRequest(name="s", schema=schema), timeout=DEADLINE_S)
            for number in range(10):
                request = pb.RecordRequest(store="s", record=record(id=f"k{number}", n=number))
                stub.Put(request, timeout=DEADLINE_S)
        store.stop()
    return path


def configured(folder: Path, database: Path) -> Path:
    foreign = folder / "foreign.yaml"
    foreign.write_text("kind: indexeddb\nsource: example.org/owner/another/store\nversion: 0.0.1\nspec: {}\n")
    config = folder / "gestalt.yaml"
    config.write_text(CONFIG.format(dsn=f"sqlite://{database}", foreign=foreign))
    return config


def store(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``gestaltd store`` outside the checkout, without a path that would lead into it."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {"HOME": str(folder), "OTHER_DSN": "sqlite://none.db", **variables}
    command = [sys.executable, "-m", "gestalt_host.daemon", "store", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_backup_restore_and_check_by_dsn(tmp_path: Path, kept: Path) -> None:
    done = store(tmp_path, "backup", f"sqlite://{kept}", "b.tar")
    assert (done.returncode, done.stdout) == (0, "backed up the unnamed database\n"), done.stderr
    copy = tmp_path / "copy" / "s.db"
    done = store(tmp_path, "restore", f"sqlite://{copy}", "b.tar")
    assert (done.returncode, done.stdout) == (0, "restored the unnamed database\n"), done.stderr
    done = store(tmp_path, "check", f"sqlite://{copy}")
    assert (done.returncode, done.stdout) == (0, f"{copy}: sound (the unnamed database)\n"), done.stderr
    with sqlite3.connect(copy) as connection:
        connection.execute("DELETE FROM index_1 WHERE pk = (SELECT min(pk) FROM index_1)")
    connection.close()
    done = store(tmp_path, "check", f"sqlite://{copy}")
    assert done.returncode == 1
    assert "index 'n'" in done.stdout


def test_the_configuration_names_the_store(tmp_path: Path, kept: Path) -> None:
    config = str(configured(tmp_path, kept))
    done = store(tmp_path, "check", "--config", config)
    assert (done.returncode, done.stdout) == (0, f"{kept}: sound (the unnamed database)\n"), done.stderr
    assert store(tmp_path, "backup", "--config", config, "main", "b.tar").returncode == 0
    variables = {"GESTALT_CONFIG": config, "OTHER_DSN": f"sqlite://{tmp_path}/other.db"}
    done = store(tmp_path, "restore", "other", "b.tar", **variables)
    assert done.returncode == 0, done.stderr
    done = store(tmp_path, "check", "other", **variables)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/other.db: sound (the unnamed database)\n"), done.stderr


def test_a_package_of_the_store_with_its_former_source_is_still_it(tmp_path: Path, kept: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(ROOT / "providers" / "indexeddb_store", package, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = package / "manifest.yaml"
    former = manifest.read_text().replace("/indexeddb/relationaldb", "/indexeddb/sqlite")
    assert former != manifest.read_text()
    manifest.write_text(former)
    config = configured(tmp_path, kept)
    config.write_text(config.read_text().replace("{builtin: indexeddb_store}", f"{{path: {manifest}}}"))
    done = store(tmp_path, "check", "--config", str(config), "main")
    assert done.returncode == 0, done.stderr


def test_one_database_can_be_backed_up(tmp_path: Path, kept: Path) -> None:
    done = store(tmp_path, "backup", "--db", "gone", f"sqlite://{kept}", "b.tar")
    assert done.returncode == 2
    assert "no database 'gone'" in done.stderr


def test_check_works_on_postgresql(tmp_path: Path, postgres_server: PostgresServer) -> None:
    with short_folder() as folder:
        process = StoreProcess(Path(folder), {"dsn": postgres_server.dsn, "schema": postgres_server.new_schema()})
        process.start()
        process.stop()
    done = store(tmp_path, "check", postgres_server.dsn)
    assert done.returncode in (0, 1), done.stderr  # another test on this server may leave damage behind
    assert f"database {process.config['schema']}: sound" in done.stdout


def test_a_dsn_of_the_configuration_is_no_argument_of_the_process(tmp_path: Path, kept: Path) -> None:
    """It may hold a password, and every user of the machine can read arguments."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    config = str(configured(tmp_path, kept))
    done = store(tmp_path, "check", "--config", config, GESTALT_PYTHON=str(python))
    assert done.returncode == 0, done.stderr
    arguments = (tmp_path / "arguments").read_text()
    assert "check" in arguments
    assert str(kept) not in arguments


WRONG: list[tuple[list[str], str]] = [
    (["mend"], 'unknown store command "mend"; there are backup, restore, check'),
    (["check", "sqlite://none.db"], "none.db: no database"),
    (["check", "--config", "CONFIG", "sqlite://none.db"], "a DSN and --config exclude each other"),
    (["check", "--config", "CONFIG", "gone"], 'no store is named "gone"; providers.indexeddb has foreign, main, other'),
    (["check", "--config", "CONFIG", "foreign"], "providers.indexeddb.foreign is example.org/owner/another/store"),
    (["check", "--config", "missing.yaml"], "missing.yaml"),
    (["check", "--db", "x", "sqlite://none.db"], "flag provided but not defined: -db"),
    (["check", "sqlite://none.db", "b.tar"], "unexpected arguments: b.tar"),
    (["backup", "sqlite://none.db"], "FILE is missing; usage: gestaltd store backup"),
    (["restore", "sqlite://none.db", "none.tar"], "none.tar cannot be restored"),
    (["check", "nonsense://user:hunter2@host"], "accepted are sqlite://PATH"),
]


@pytest.mark.parametrize(("words", "text"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_cannot_be_carried_out_ends_with_2(tmp_path: Path, kept: Path, words: list[str], text: str) -> None:
    config = str(configured(tmp_path, kept))
    done = store(tmp_path, *(config if word == "CONFIG" else word for word in words))
    assert done.returncode == 2
    assert text in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("words", [[], ["--help"], ["help"], ["check", "--help"]])
def test_help(tmp_path: Path, words: list[str]) -> None:
    done = store(tmp_path, *words)
    assert done.returncode == 0
    assert "gestaltd store check [--config PATH]... [DSN|STORE]" in done.stderr
