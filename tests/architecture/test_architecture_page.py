"""docs/architecture.md and docs/glossary.md speak of the code as it is.

A link to a module has the name of what it leads to as its text: `scheduler.Scheduler.run` for the method of that class
in ``scheduler.py``. When code is renamed or moved, the failure names the line of the page, the link, and where the name
is found now.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from tests.support.floors import FLOORS
from tests.support.imports import Package

ROOT = Path(__file__).parents[2]
PAGE = "docs/architecture.md"
GLOSSARY = "docs/glossary.md"
CALLS = 6
MODULE_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+\.py)\)")
DOTTED = re.compile(r"`((?:\w+\.)*\w+)`")
STEP = re.compile(r"(\d+)\. ")

Source = Callable[[str], str | None]
"""The text of a module by its path below the root, None when there is none."""


@cache
def source(path: str) -> str | None:
    return (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else None


def page(name: str = PAGE) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# Names in modules -----------------------------------------------------------------------------------------------------


@cache
def names(text: str) -> frozenset[str]:
    """Return what a module defines, dotted: functions, classes, their methods, and names that are assigned to."""
    return frozenset(_names(ast.parse(text).body, ""))


def _names(body: Sequence[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield prefix + node.name
            yield from _names(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign):
            yield from (prefix + target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield prefix + node.target.id
        elif isinstance(node, ast.If | ast.Try):
            yield from _names([*node.body, *node.orelse], prefix)


@cache
def everywhere() -> Mapping[str, list[str]]:
    """Return in which modules of the packages each name is defined, by the name without its module."""
    found: dict[str, list[str]] = {}
    for folder in FLOORS:
        for path in Package(ROOT / folder).modules.values():
            for name in names(path.read_text(encoding="utf-8")):
                found.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    return found


def hint(wanted: str, known: frozenset[str] = frozenset()) -> str:
    """Return where the name is now, or what resembles it, to be put behind a failure; blank when nothing does."""
    if elsewhere := everywhere().get(wanted):
        return f"; {wanted} is in {', '.join(elsewhere)}"
    near = get_close_matches(wanted, known, n=3) or get_close_matches(wanted, everywhere(), n=3)
    return f"; there is {', '.join(near)}" if near else ""


# Links ----------------------------------------------------------------------------------------------------------------


def links(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, text and target of each link to a module."""
    for match in MODULE_LINK.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[1], match[2]


def link_faults(name: str, text: str, read: Source = source) -> list[str]:
    faults = []
    for line, shown, target in links(text):
        fault = _link_fault(name, shown, target, read)
        if fault:
            faults.append(f"{name}:{line}: [{shown}] {fault}")
    return faults


def _link_fault(name: str, shown: str, target: str, read: Source) -> str:
    dotted = DOTTED.fullmatch(shown)
    if dotted is None:
        return "is not `module`, `module.function` or `module.Class.method`"
    module, _, wanted = dotted[1].partition(".")
    path = PurePosixPath(*_resolved(PurePosixPath(name).parent, target))
    if module != path.stem:
        return f"begins with {module}, but the link leads to {path.name}"
    text = read(path.as_posix())
    if text is None:
        return f"leads to {path}, which does not exist{hint(wanted)}"
    if wanted and wanted not in names(text):
        return f"is stale: {path} defines no {wanted}{hint(wanted, names(text))}"
    return ""


def _resolved(folder: PurePosixPath, target: str) -> list[str]:
    parts = list(folder.parts)
    for part in PurePosixPath(target).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return parts


# Calls ----------------------------------------------------------------------------------------------------------------


def section(text: str, heading: str) -> str:
    """Return what stands under a heading of the second level."""
    match = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert match, f"no section {heading!r}"
    return match[1]


def subsections(text: str) -> dict[str, str]:
    """Return what stands under each heading of the third level."""
    parts = re.split(r"^### (.*)\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def steps(text: str) -> list[tuple[int, str]]:
    """Return the numbered steps, each with its number; a step goes on over indented lines."""
    found: list[tuple[int, str]] = []
    inside = False
    for line in text.splitlines():
        begins = STEP.match(line)
        if begins:
            found.append((int(begins[1]), line))
        elif inside and line.startswith("   "):
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line}")
        inside = begins is not None or (inside and line.startswith("   "))
    return found


def call_faults(text: str) -> list[str]:
    faults = []
    calls = subsections(section(text, "Six calls"))
    if len(calls) != CALLS:
        faults.append(f"{len(calls)} calls instead of {CALLS}: {', '.join(calls)}")
    for call, told in calls.items():
        before = 0
        for number, step in steps(told):
            if number not in (1, before + 1):
                faults.append(f"{call}: step {number} comes after step {before}")
            before = number
            if not any("." in shown for _, shown, _ in links(step)):
                faults.append(f"{call}, step {number}: no link to a function or class: {step.splitlines()[0]}")
        if not before:
            faults.append(f"{call}: no steps")
    return faults


# Floors ---------------------------------------------------------------------------------------------------------------


def floor_faults(text: str, floors: Mapping[str, Sequence[set[str]]] = FLOORS) -> list[str]:
    faults = []
    tables = {heading.strip("`"): table for heading, table in subsections(section(text, "Floors")).items()}
    for folder in {*floors, *tables}:
        if folder not in tables or folder not in floors:
            faults.append(f"{folder}: {'no table' if folder in floors else 'no such package'}")
            continue
        expected = {room: str(number) for number, rooms in enumerate(floors[folder], 1) for room in rooms}
        rows = re.findall(r"^\| *(\d+) *\| *`([^`]*)` *\| *(.*?) *\|$", tables[folder], re.M)
        told = {room: number for number, room, _ in rows}
        if len(told) != len(rows):
            faults.append(f"{folder}: a room is there twice")
        faults += [f"{folder}: {room} has no line" for room in expected.keys() - told.keys()]
        faults += [f"{folder}: {room} is no room" for room in told.keys() - expected.keys()]
        faults += [
            f"{folder}: {room} is on floor {expected[room]}, not {told[room]}"
            for room in expected.keys() & told.keys()
            if expected[room] != told[room]
        ]
        faults += [f"{folder}: {room} has no job" for _, room, job in rows if not job]
    return sorted(faults)


# Words ----------------------------------------------------------------------------------------------------------------


def refused(text: str) -> list[tuple[str, str]]:
    """Return the names that the glossary refuses, each with the folder in which it does."""
    table = section(text, "Names that are refused")
    return re.findall(r"^\| `(\w+)` \| `([\w/]+)` \| .*\S.* \|$", table, re.M)


def lines_with(name: str, text: str) -> list[int]:
    """Return the lines in which the name is an identifier; strings and comments do not count."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if name in _identifiers(node):
            found.add(getattr(node, "lineno", 0))
    return sorted(found)


def _identifiers(node: ast.AST) -> set[str | None]:
    if isinstance(node, ast.alias):
        return {node.asname or node.name.rpartition(".")[2]}
    return {getattr(node, field, None) for field in ("name", "id", "attr", "arg")}


def words(text: str) -> list[str]:
    """Return the first column of the tables of words."""
    tables = text.partition("## Old words that stay")[0]
    cells = re.findall(r"^\| ([^|`-][^|]*?) \| [^|]+ \| [^|]* \|$", tables, re.M)
    return [word for cell in cells if cell != "word" for word in cell.split(", ")]


# The pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [PAGE, GLOSSARY])
def test_each_link_names_what_it_leads_to(name: str) -> None:
    faults = link_faults(name, page(name))
    assert not faults, "\n".join(faults)


def test_each_step_of_a_call_leads_to_code() -> None:
    faults = call_faults(page())
    assert not faults, "\n".join(faults)


def test_the_tables_list_every_room_on_its_floor() -> None:
    faults = floor_faults(page())
    assert not faults, "\n".join(faults)


def test_the_glossary_has_each_word_once() -> None:
    counted = Counter(words(page(GLOSSARY)))
    assert len(counted) > 50
    assert [word for word, times in counted.items() if times > 1] == []


def test_names_that_the_glossary_refuses_are_not_used() -> None:
    table = refused(page(GLOSSARY))
    assert table
    faults = [
        f"{path.relative_to(ROOT)}: {name}, which {GLOSSARY} refuses in {folder}, in lines {lines}"
        for name, folder in table
        for path in modules_below(folder)
        if (lines := lines_with(name, path.read_text(encoding="utf-8")))
    ]
    assert not faults, "\n".join(faults)


def modules_below(folder: str) -> list[Path]:
    found = [path for path in sorted((ROOT / folder).rglob("*.py")) if "gen" not in path.relative_to(ROOT).parts]
    assert found, f"{GLOSSARY}: no modules below {folder}"
    return found


# The checks on planted faults -----------------------------------------------------------------------------------------

MODULE = "LIMIT = 3\nSIZE: int = 4\n\ndef start(): ...\n\nclass Pump:\n    async def run(self): ...\n"
FILES = {"house/pump.py": MODULE}


def planted(link: str) -> list[str]:
    return link_faults("docs/page.md", f"# Page\n\nSee {link}.\n", FILES.get)


@pytest.mark.parametrize("name", ["pump", "pump.start", "pump.Pump", "pump.Pump.run", "pump.LIMIT", "pump.SIZE"])
def test_a_link_to_what_exists_is_accepted(name: str) -> None:
    assert planted(f"[`{name}`](../house/pump.py)") == []


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("[`pump.stop`](../house/pump.py)", "is stale: house/pump.py defines no stop"),
        ("[`pump.Pump.start`](../house/pump.py)", "is stale: house/pump.py defines no Pump.start"),
        ("[`pump.Pumps.run`](../house/pump.py)", "there is Pump.run"),
        ("[`well.Pump.run`](../house/pump.py)", "begins with well, but the link leads to pump.py"),
        ("[`pump.Pump.run`](../pump.py)", "leads to pump.py, which does not exist"),
        ("[the pump](../house/pump.py)", "is not `module`"),
        ("[`pump.Pump.run()`](../house/pump.py)", "is not `module`"),
    ],
)
def test_a_link_to_what_does_not_exist_is_refused(link: str, fault: str) -> None:
    (found,) = planted(link)
    assert found.startswith("docs/page.md:3: ")
    assert fault in found


def test_what_has_moved_is_named_with_its_place() -> None:
    (found,) = link_faults(PAGE, "[`old.Scheduler.run`](../providers/indexeddb/old.py)")
    assert found.endswith("Scheduler.run is in providers/indexeddb/gestalt_workflow/firing/scheduler.py")


STEPS = "1. Do [`pump.start`](x/pump.py).\n2. Then\n   [`pump.Pump.run`](x/pump.py).\n"


def told(steps: str, calls: int = CALLS) -> str:
    return "## Six calls\n\n" + "".join(f"### Call {n}\n\n{steps}\n" for n in range(calls)) + "## Next\n\n1. no\n"


def test_calls_that_are_told_with_links_are_accepted() -> None:
    assert call_faults(told(STEPS)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (told(STEPS, calls=5), "5 calls instead of 6"),
        (told(STEPS + "3. It ends.\n"), "Call 0, step 3: no link"),
        (told(STEPS + "3. See [`pump`](x/pump.py).\n"), "Call 0, step 3: no link"),
        (told(STEPS + "4. Do [`pump.start`](x/pump.py).\n"), "Call 0: step 4 comes after step 2"),
        (told("It goes by itself.\n"), "Call 0: no steps"),
    ],
)
def test_a_call_that_is_told_without_links_is_refused(text: str, fault: str) -> None:
    assert call_faults(text)[0].startswith(fault)


HOUSE: dict[str, tuple[set[str], ...]] = {"house": ({"attic"}, {"hall", "kitchen"})}
TABLE = "## Floors\n\n### `house`\n\n| floor | room | job |\n|---|---|---|\n| 1 | `attic` | keeps |\n"
ROWS = TABLE + "| 2 | `hall` | leads |\n| 2 | `kitchen` | cooks |\n"


def test_tables_that_list_every_room_are_accepted() -> None:
    assert floor_faults(ROWS, HOUSE) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (TABLE + "| 2 | `hall` | leads |\n", "house: kitchen has no line"),
        (ROWS + "| 2 | `cellar` | stores |\n", "house: cellar is no room"),
        (TABLE + "| 2 | `hall` | leads |\n| 1 | `kitchen` | cooks |\n", "house: kitchen is on floor 2, not 1"),
        (TABLE + "| 2 | `hall` | leads |\n| 2 | `kitchen` |  |\n", "house: kitchen has no job"),
        (ROWS + "| 2 | `hall` | leads |\n", "house: a room is there twice"),
        (ROWS + "\n### `shed`\n", "shed: no such package"),
        ("## Floors\n", "house: no table"),
    ],
)
def test_a_table_that_differs_from_the_floors_is_refused(text: str, fault: str) -> None:
    assert floor_faults(text, HOUSE) == [fault]


def test_a_refused_name_is_found_wherever_it_is_an_identifier() -> None:
    text = (
        "from x import Entry\nimport y as Entry\nclass Entry: ...\ndef Entry(): ...\n"
        "def f(Entry): ...\nEntry = 1\nz.Entry = 2\ncall(Entry=3)\n'Entry'  # Entry\nfrom x import Entry as y\n"
    )
    assert lines_with("Entry", text) == list(range(1, 9))
    assert lines_with("entry", text) == []


HEAD = "|---|---|---|\n"


def test_the_tables_of_the_glossary_are_read() -> None:
    meant = (
        f"| word | means here | not |\n{HEAD}| object store, index | as there | table |\n| slot | a moment | place |\n"
    )
    old = f"## Old words that stay\n\n| where | name | means |\n{HEAD}| wire | `owner` | claimant |\n"
    names = f"## Names that are refused\n\n| name | in | instead |\n{HEAD}| `Entry` | `gestalt_sdk` | write |\n"
    assert words(meant + old + names) == ["object store", "index", "slot"]
    assert refused(meant + old + names) == [("Entry", "gestalt_sdk")]
