"""What `gestaltd provider new` offers: an example of this project for each row, and how a copy of it is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LANGUAGES = ("python", "go", "typescript", "rust")
_EXAMPLES = "github.com/gestalt-workflows/gestalt/examples/providers"
_SOURCES = "source: github.com/gestalt-workflows/gestalt"
TAKEN_NAMES: Mapping[str, frozenset[str]] = {
    "go": frozenset({"vendor"}),
    "rust": frozenset({"build", "deps", "examples", "incremental"}),
}
"""Names that the tools of a language keep for folders of theirs: nothing that is called so can be built."""


@dataclass(frozen=True, slots=True)
class Template:
    """One example, which is the folder ``KIND-LANGUAGE`` of examples/providers.

    Attributes:
        contract: Folders of examples/providers/contract that go along, and where a copy has them.
        renames: Texts in its files and in their paths, each with what takes its place, in this order. ``$name`` is the
            provider's, ``$module`` the same with underscores, ``$title`` in words, ``$type`` as a name of a type,
            ``$address`` the address of the package.
        config: Configuration, as JSON, without which it can be neither run nor verified; blank where it needs none.
    """

    kind: str
    language: str
    renames: tuple[tuple[str, str], ...]
    contract: Mapping[str, str] = field(default_factory=dict)
    config: str = ""

    @property
    def folder(self) -> str:
        return f"{self.kind}-{self.language}"


# The generated packages lie in the module of the copy, so it needs no other.
_CONTRACT_OF_GO = {"go/provider": "contract/provider", "go/extension": "contract/extension"}


def _in_go(folder: str) -> tuple[tuple[str, str], ...]:
    return (
        (f"\t{_EXAMPLES}/contract/go v0.0.0\n", ""),
        (f"\nreplace {_EXAMPLES}/contract/go => ../contract/go\n", ""),
        (f"{_EXAMPLES}/contract/go", "$address/contract"),
        (f"{_EXAMPLES}/{folder}", "$address"),
    )


TEMPLATES: tuple[Template, ...] = (
    Template(
        "plugin",
        "python",
        (
            (f"{_SOURCES}/plugins/notes-python", "source: $address"),
            ("displayName: Notes", "displayName: $title"),
            ("gestalt-plugin-notes", "gestalt-plugin-$name"),
            ("notes_plugin", "${module}_plugin"),
            ("NotesPlugin", "${type}Plugin"),
            ("test_notes.py", "test_$module.py"),
            ('display_name = "Notes"', 'display_name = "$title"'),
            ('SOURCE = "notes"', 'SOURCE = "$name"'),
            ('configure("notes", ', 'configure("$name", '),
        ),
    ),
    Template(
        "plugin",
        "go",
        (
            *_in_go("plugin-go"),
            (f"{_SOURCES}/plugins/notes-go", "source: $address"),
            ("displayName: Notes", "displayName: $title"),
            ("name: notes\n", "name: $name\n"),
            ('Name:               "notes"', 'Name:               "$name"'),
            ('DisplayName:        "Notes"', 'DisplayName:        "$title"'),
            ('source          = "notes"', 'source          = "$name"'),
            ('Name: "notes"', 'Name: "$name"'),
        ),
        _CONTRACT_OF_GO,
    ),
    Template(
        "plugin",
        "typescript",
        (
            (f"{_SOURCES}/plugins/notes-typescript", "source: $address"),
            ("displayName: Notes", "displayName: $title"),
            ("name: notes\n", "name: $name\n"),
            ('"name": "notes"', '"name": "$name"'),
            ("dist/notes.cjs", "dist/$name.cjs"),
            ('name: "notes"', 'name: "$name"'),
            ('displayName: "Notes"', 'displayName: "$title"'),
            ('SOURCE = "notes"', 'SOURCE = "$name"'),
        ),
    ),
    Template(
        "workflow",
        "python",
        (
            (f"{_SOURCES}/providers/later-python", "source: $address"),
            ("displayName: Later", "displayName: $title"),
            ("gestalt-workflow-later", "gestalt-workflow-$name"),
            ("later_workflow", "${module}_workflow"),
            ("LaterWorkflow", "${type}Workflow"),
            ("test_later.py", "test_$module.py"),
            ('display_name = "Later"', 'display_name = "$title"'),
            ('Memory()), "later")', 'Memory()), "$name")'),
            ('configure("later", ', 'configure("$name", '),
        ),
    ),
    Template(
        "plugin",
        "rust",
        (
            (f"{_SOURCES}/plugins/notes-rust", "source: $address"),
            ("displayName: Notes", "displayName: $title"),
            ("name: notes\n", "name: $name\n"),
            ('name = "notes"', 'name = "$name"'),
            ('name: "notes"', 'name: "$name"'),
            ('display_name: "Notes"', 'display_name: "$title"'),
            ('SOURCE: &str = "notes"', 'SOURCE: &str = "$name"'),
        ),
    ),
    Template(
        "workflow",
        "go",
        (
            *_in_go("workflow-go"),
            (f"{_SOURCES}/providers/later-go", "source: $address"),
            ("displayName: Later", "displayName: $title"),
            ("later_test.go", "${module}_test.go"),
            ('DisplayName:        "Later"', 'DisplayName:        "$title"'),
            ('NewIndexedDBClient(connection), "later")', 'NewIndexedDBClient(connection), "$name")'),
        ),
        _CONTRACT_OF_GO,
    ),
    Template(
        "indexeddb",
        "python",
        (
            (f"{_SOURCES}/shelf-python/indexeddb/relationaldb", "source: $address"),
            ("displayName: Shelf", "displayName: $title"),
            ("gestalt-provider-shelf", "gestalt-provider-$name"),
            ("shelf_store", "${module}_store"),
            ("test_shelf.py", "test_$module.py"),
            ('display_name = "Shelf"', 'display_name = "$title"'),
            ('configure("shelf", ', 'configure("$name", '),
            ("Shelf", "$type"),
        ),
        config='{"dsn": "sqlite://{dir}/state.db"}',
    ),
)


def find_template(kind: str, language: str) -> Template | None:
    """Return the template for the pair, None where none is offered."""
    return next((item for item in TEMPLATES if (item.kind, item.language) == (kind, language)), None)


def offered() -> Mapping[str, list[str]]:
    """Return the languages that there are templates in, by kind."""
    kinds = dict.fromkeys(item.kind for item in TEMPLATES)
    return {kind: [word for word in LANGUAGES if find_template(kind, word)] for kind in kinds}
