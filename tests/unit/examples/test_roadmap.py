"""Reading a folder of items, and bringing a store level with it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roadmap_plugin.items import ItemUnreadable, read, sources
from roadmap_plugin.sync import FILES, ITEMS, prepare, sync

from gestalt_sdk.indexeddb import IndexedDB
from gestalt_sdk.transport.environment import Address
from tests.support.fakes.store_engine import serving_memory_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "items"
    folder.mkdir()
    (folder / "a.md").write_text("---\nid: alpha\ntitle: First\nstatus: planned\ntags: [x]\n---\nBody of alpha\n")
    (folder / "b.md").write_text("# Second\n\nBody of b\n")
    (folder / "c.json").write_text('[{"id": "gamma", "title": "Third", "text": "g"}, {"id": "delta", "text": "d"}]')
    return folder


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[IndexedDB]:
    async with (
        serving_memory_store(tmp_path / "s"),
        IndexedDB.connect(Address(f"unix:{tmp_path / 's'}"), timeout_s=5) as client,
    ):
        await prepare(client)
        yield client


def change(path: Path, text: str) -> None:
    """Write, and let the file's time move even where the clock is coarse."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


def test_front_matter_headings_and_json_make_items(folder: Path) -> None:
    items = {item.item_id: item for source in sources(folder) for item in read(source)}
    assert list(items) == ["alpha", "b", "gamma", "delta"]
    assert (items["alpha"].title, items["alpha"].status, items["alpha"].tags) == ("First", "planned", ("x",))
    assert items["alpha"].text == "Body of alpha"
    assert (items["b"].title, items["delta"].title) == ("Second", "delta")


def test_hidden_and_other_files_are_left_out(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "x.md").write_text("no")
    (folder / "notes.txt").write_text("no")
    assert [source.name for source in sources(folder)] == ["a.md", "b.md", "c.json"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.json", b"{", "is not JSON"),
        ("x.json", b"[1]", "not an object"),
        ("x.md", b"---\n: [\n---\n", "broken front matter"),
        ("x.md", b"---\ntags: 3\n---\n", "tags"),
        ("x.md", b"\xff", "is not UTF-8"),
    ],
)
def test_a_file_that_holds_no_item_says_why(folder: Path, name: str, content: bytes, reason: str) -> None:
    (folder / name).write_bytes(content)
    (source,) = [source for source in sources(folder) if source.name == name]
    with pytest.raises(ItemUnreadable, match=reason):
        read(source)


async def test_an_incremental_sync_writes_only_what_changed(db: IndexedDB, folder: Path) -> None:
    first = await sync(db, folder, "incremental")
    assert (first.added, first.total, first.skipped) == (4, 4, [])
    again = await sync(db, folder, "incremental")
    assert (again.added, again.changed, again.removed, again.unchanged) == (0, 0, 0, 4)

    change(folder / "b.md", "# Second\n\nAnother body\n")
    (folder / "a.md").unlink()
    change(folder / "e.md", "# Fifth\n")
    third = await sync(db, folder, "incremental")
    assert (third.added, third.changed, third.removed, third.unchanged, third.total) == (1, 1, 1, 2, 4)
    stored = {str(record["id"]): record for record in await db.store(ITEMS).get_all()}
    assert set(stored) == {"b", "gamma", "delta", "e"}
    assert stored["b"]["text"] == "# Second\n\nAnother body"


async def test_a_file_that_was_only_touched_counts_as_unchanged(db: IndexedDB, folder: Path) -> None:
    await sync(db, folder, "incremental")
    change(folder / "b.md", (folder / "b.md").read_text())
    counts = await sync(db, folder, "incremental")
    assert (counts.changed, counts.unchanged) == (0, 4)


async def test_a_full_sync_reads_and_writes_everything(db: IndexedDB, folder: Path) -> None:
    await sync(db, folder, "incremental")
    await db.store(ITEMS).delete("gamma")  # as if the store had lost it
    assert (await sync(db, folder, "incremental")).total == 4
    assert await db.store(ITEMS).find("gamma") is None
    counts = await sync(db, folder, "full")
    assert (counts.mode, counts.unchanged) == ("full", 4)
    assert await db.store(ITEMS).find("gamma") is not None


async def test_a_broken_file_keeps_its_earlier_items_and_is_read_again(db: IndexedDB, folder: Path) -> None:
    await sync(db, folder, "incremental")
    change(folder / "c.json", "{")
    counts = await sync(db, folder, "incremental")
    assert (counts.total, counts.removed) == (4, 0)
    assert counts.skipped == [
        {"file": "c.json", "reason": "is not JSON: Expecting property name enclosed in double quotes at line 1"}
    ]
    change(folder / "c.json", '[{"id": "gamma", "text": "new"}]')
    counts = await sync(db, folder, "incremental")
    assert (counts.changed, counts.removed, counts.skipped) == (1, 1, [])


async def test_an_id_belongs_to_the_first_file_that_has_it(db: IndexedDB, folder: Path) -> None:
    (folder / "z.md").write_text("---\nid: alpha\n---\nAnother alpha\n")
    counts = await sync(db, folder, "incremental")
    assert counts.skipped == [{"file": "z.md", "reason": "has the id 'alpha', which a.md has too"}]
    assert (await db.store(ITEMS).get("alpha"))["text"] == "Body of alpha"
    assert await db.store(FILES).find("z.md") is None


async def test_a_missing_folder_changes_nothing(db: IndexedDB, folder: Path) -> None:
    await sync(db, folder, "incremental")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        await sync(db, folder / "nowhere", "incremental")
    assert await db.store(ITEMS).count() == 4
