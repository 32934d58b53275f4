#!/usr/bin/env python3
"""Write docs/providers/reference.md: every service, message and enum of proto/, with its comments.

Usage: python -m tools.generate_reference [--check]

`--check` writes nothing and exits 1 when the page is not what proto/ says.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
    SourceCodeInfo,
)

from tools.generate_protos import PROTO, ROOT, describe

PAGE = ROOT / "docs" / "providers" / "reference.md"
WIDTH = 130
INTRODUCTION = """\
# Reference of the contract

Written by `make gen` from the comments in [`proto/`](../../proto), which are the specification; never edited. The
[guide](README.md) says what is served by whom and in which order, [contract.md](../spec/contract.md) what is
promised beyond single calls.

In the tables a type with `[]` is a list, one with `?` knows whether it was given, and of the fields under one `oneof`
at most one is given. A field from 1000 on, and everything below `extension/v1`, is an extension of this project, which
a peer may do without: its text names the capability that announces it. `Empty`, `Struct`, `Value`, `Timestamp` and
`Duration` are those of `google.protobuf`, `Status` is that of `google.rpc`.
"""
FIRST = ("v1/runtime.proto", "v1/plugin.proto", "v1/workflow.proto", "v1/datastore.proto", "v1/agent.proto")
NOTES = {
    "v1/agent.proto": "Not built yet: the host starts no agent providers, and serves no AgentHost or AgentManagerHost.",
}

# Numbers of fields in descriptor.proto: the steps of a path in SourceCodeInfo.
PACKAGE, MESSAGES, ENUMS, SERVICES = 2, 4, 5, 6
FIELDS, NESTED_MESSAGES, NESTED_ENUMS, ONEOFS = 2, 3, 4, 8
VALUES, METHODS = 2, 2

CAPABILITY = re.compile(r"[Cc]apability:? `([a-z]+\.[a-z_]+)`")

Place = tuple[int, ...]


class Reference:
    """The page of what the .proto files below a folder say; those that they import from elsewhere are left out."""

    def __init__(self, root: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch, "described.binpb")
            describe(root, target)
            files = FileDescriptorSet.FromString(target.read_bytes()).file
        own = [file for file in files if (root / file.name).exists()]
        self._files = sorted(own, key=lambda file: (file.name not in FIRST, _rank(file.name), file.name))
        self._ours = {f".{file.package}" for file in own}

    def page(self) -> str:
        """Return the whole page.

        Raises:
            ValueError: two things would have one heading.
        """
        lines = [INTRODUCTION, *self._contents()]
        capabilities: dict[str, list[str]] = {}
        for file in self._files:
            part = _File(file, self._ours)
            lines += ["", f"## {file.name}", "", *part.lines()]
            for name, place in part.capabilities():
                capabilities.setdefault(name, []).append(place)
        if capabilities:
            lines += ["", "## Capabilities", "", "| capability | described at |", "|---|---|"]
            lines += [f"| `{name}` | {', '.join(dict.fromkeys(capabilities[name]))} |" for name in sorted(capabilities)]
        headings = [line for line in lines if line.startswith("#")]
        if doubled := sorted({line for line in headings if headings.count(line) > 1}):
            raise ValueError(f"two things are called {doubled}: the page needs another heading for one")
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"

    def _contents(self) -> Iterator[str]:
        yield "| file | services |"
        yield "|---|---|"
        for file in self._files:
            services = ", ".join(f"[{service.name}](#{anchor(service.name)})" for service in file.service)
            yield f"| [{file.name}](#{anchor(file.name)}) | {services} |"


class _File:
    def __init__(self, file: FileDescriptorProto, ours: set[str]) -> None:
        self._file = file
        self._ours = ours
        self._comments = {tuple(location.path): location for location in file.source_code_info.location}

    def lines(self) -> Iterator[str]:
        if note := NOTES.get(self._file.name):
            yield from [note, ""]
        yield from self._paragraphs((PACKAGE,))
        for number, service in enumerate(self._file.service):
            yield from self._service((SERVICES, number), service)
        for number, message in enumerate(self._file.message_type):
            yield from self._message((MESSAGES, number), message, "")
        for number, enum in enumerate(self._file.enum_type):
            yield from self._enum((ENUMS, number), enum, "")

    def capabilities(self) -> Iterator[tuple[str, str]]:
        """Yield each capability that a comment names, with a link to what it is about."""
        for place, location in self._comments.items():
            for name in CAPABILITY.findall(" ".join(paragraphs(location))):
                yield name, self._link(place)

    def _link(self, place: Place) -> str:
        if place[0] not in (SERVICES, MESSAGES) or len(place) < 2:
            return f"[{self._file.name}](#{anchor(self._file.name)})"
        if place[0] == SERVICES:
            service = self._file.service[place[1]]
            method = f"/{service.method[place[3]].name}" if len(place) > 2 else ""
            return f"[{service.name}{method}](#{anchor(service.name)})"
        message = self._file.message_type[place[1]]
        field = f".{message.field[place[3]].name}" if place[2:3] == (FIELDS,) else ""
        return f"[{message.name}{field}](#{anchor(message.name)})"

    def _service(self, place: Place, service: ServiceDescriptorProto) -> Iterator[str]:
        yield from ["", f"### {service.name}", ""]
        yield f"Service `{self._file.package}.{service.name}`."
        yield ""
        yield from self._paragraphs(place)
        for number, method in enumerate(service.method):
            taken = ("stream of " if method.client_streaming else "") + self._type(method.input_type)
            answered = ("stream of " if method.server_streaming else "") + self._type(method.output_type)
            yield from ["", f"**`{method.name}`** takes {taken}, answers {answered}", ""]
            yield from self._paragraphs((*place, METHODS, number))

    def _message(self, place: Place, message: DescriptorProto, outer: str) -> Iterator[str]:
        name = outer + message.name
        yield from ["", f"### {name}", ""]
        yield from self._paragraphs(place)
        maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
        if message.field:
            yield from ["", "| no. | field | type | meaning |", "|---|---|---|---|"]
        told = None
        for number, field in enumerate(message.field):
            group = field.oneof_index if field.HasField("oneof_index") and not field.proto3_optional else None
            if group is not None and group != told:
                text = self._cell((*place, ONEOFS, group))
                yield f"| | oneof `{message.oneof_decl[group].name}` | | {text} |"
            told = group
            text = self._cell((*place, FIELDS, number))
            yield f"| {field.number} | `{field.name}` | {self._field_type(field, maps)} | {text} |"
        reserved = [_span(gap.start, gap.end - 1) for gap in message.reserved_range]
        reserved += [f"`{name}`" for name in message.reserved_name]
        if reserved:
            yield from ["", f"Reserved, never to be used again: {', '.join(reserved)}."]
        for number, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                yield from self._message((*place, NESTED_MESSAGES, number), nested, f"{name}.")
        for number, enum in enumerate(message.enum_type):
            yield from self._enum((*place, NESTED_ENUMS, number), enum, f"{name}.")

    def _enum(self, place: Place, enum: EnumDescriptorProto, outer: str) -> Iterator[str]:
        yield from ["", f"### {outer}{enum.name}", ""]
        yield from self._paragraphs(place)
        yield from ["", "| no. | value | meaning |", "|---|---|---|"]
        for number, value in enumerate(enum.value):
            yield f"| {value.number} | `{value.name}` | {self._cell((*place, VALUES, number))} |"

    def _field_type(self, field: FieldDescriptorProto, maps: dict[str, DescriptorProto]) -> str:
        entry = maps.get(field.type_name.rpartition(".")[2]) if field.type_name else None
        if entry is not None:
            key, value = (self._field_type(part, {}) for part in entry.field)
            return f"map of {key} to {value}"
        name = (
            self._type(field.type_name) if field.type_name else FieldDescriptorProto.Type.Name(field.type)[5:].lower()
        )
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return f"{name}[]" if not name.startswith("[") else f"{name}\\[\\]"
        return f"{name}?" if field.proto3_optional else name

    def _type(self, name: str) -> str:
        package = next((package for package in self._ours if name.startswith(f"{package}.")), None)
        if package is None:
            return f"`{name.rpartition('.')[2]}`"
        short = name.removeprefix(f"{package}.")
        return f"[{short}](#{anchor(short)})"

    def _paragraphs(self, place: Place) -> Iterator[str]:
        for paragraph in paragraphs(self._comments.get(place)):
            yield from textwrap.wrap(shown(paragraph), WIDTH, break_long_words=False, break_on_hyphens=False)
            yield ""

    def _cell(self, place: Place) -> str:
        return shown(" ".join(paragraphs(self._comments.get(place)))).replace("|", "\\|")


def paragraphs(location: SourceCodeInfo.Location | None) -> list[str]:
    """Return the paragraphs of a comment, each in one line; what a call may be refused with begins one."""
    if location is None:
        return []
    text = "\n".join(part for part in (location.leading_comments, location.trailing_comments) if part.strip())
    parts: list[list[str]] = [[]]
    for line in (line.strip() for line in text.splitlines()):
        if not line or re.match(r"(Errors|Callers|Capability)\b[^.]*:", line):
            parts.append([])
        parts[-1] += [line] if line else []
    return [" ".join(part) for part in parts if part]


def shown(text: str) -> str:
    """Return the text as Markdown that shows what is written: angle brackets outside of code are no HTML."""
    parts = text.split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _rank(name: str) -> int:
    return FIRST.index(name) if name in FIRST else 0


def anchor(heading: str) -> str:
    """Return what links to a heading end with."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare only")
    page = Reference(PROTO).page()
    if not parser.parse_args().check:
        PAGE.write_text(page)
        return 0
    if PAGE.exists() and PAGE.read_text() == page:
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not what proto/ says; run `make gen`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
