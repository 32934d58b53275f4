#!/usr/bin/env python3
"""Compare a tree of .proto files with the tables of contract/tables.md.

Usage: check_contract.py PROTO_ROOT [--files runtime,plugin,workflow,agent,datastore]

Every message, enum, service and rpc of package gestalt.provider.v1 that belongs to one of the
named files must be declared exactly as the tables say: names, numbers, types, labels, oneofs,
presence, reserved ranges. Fields and enum values numbered 1000 and above are ours and ignored,
and so are other packages. Needs grpcio-tools. Exit status: 0 equal, 1 different, 2 unusable.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

PACKAGE = "gestalt.provider.v1"
EXTENSION_START = 1000
DEFAULT_FILES = "runtime,plugin,workflow,agent,datastore"
CONTRACT = Path(__file__).resolve().parent.parent / "contract" / "tables.md"


def parse_reserved(text: str) -> tuple[frozenset[int], frozenset[str]]:
    numbers, _, names = text.removeprefix("reserved ").partition(": ")
    taken: set[int] = set()
    for span in filter(None, numbers.split(", ")):
        first, _, last = span.partition("-")
        taken |= set(range(int(first), int(last or first) + 1))
    return frozenset(taken), frozenset(filter(None, names.split(", ")))


def parse_fields(cell: str) -> dict:
    fields: dict[int, tuple[str, str, str]] = {}
    reserved = (frozenset(), frozenset())
    if cell != "(no fields)":
        for part in cell.split("; "):
            if part.startswith("reserved "):
                reserved = parse_reserved(part)
                continue
            found = re.fullmatch(r"(\d+) (\w+) (\S+)(?: <(\w+)>)?", part)
            if not found:
                sys.exit(f"tables.md: cannot read field {part!r}")
            fields[int(found[1])] = (found[2], found[3], found[4] or "")
    return {"fields": fields, "reserved": reserved}


def parse_enum(cell: str) -> dict:
    values: dict[int, str] = {}
    reserved = (frozenset(), frozenset())
    for part in cell.split("; "):
        if part.startswith("reserved "):
            reserved = parse_reserved(part)
        else:
            number, name = part.split(" = ")
            values[int(number)] = name
    return {"values": values, "reserved": reserved}


def read_contract(files: set[str]) -> dict[str, dict]:
    """Tables of the wanted files: 'message NAME' / 'enum NAME' / 'service NAME' -> declaration."""
    wanted: dict[str, dict] = {}
    current = service = kind = None
    for line in CONTRACT.read_text().splitlines():
        if heading := re.match(r"### \S+ `(\w+)\.proto`", line):
            current, kind = heading[1], None
            continue
        if line.startswith("#"):
            current = kind = None
        if current not in files:
            continue
        if named := re.match(r"Service \*\*(\w+)\*\*", line):
            service, kind = named[1], None
            wanted[f"service {service}"] = {"rpcs": {}}
        elif line.startswith("| Rpc |"):
            kind = "rpc"
        elif line.startswith("| Enum |"):
            kind = "enum"
        elif line.startswith("| Message |"):
            kind = "message"
        elif line.startswith("|---"):
            pass
        elif not line.startswith("|"):
            kind = None if line.strip() else kind
        elif kind:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if kind == "rpc":
                wanted[f"service {service}"]["rpcs"][cells[0]] = tuple(cells[1:])
            elif kind == "enum":
                wanted[f"enum {cells[0]}"] = parse_enum(cells[1])
            else:
                wanted[f"message {cells[0]}"] = parse_fields(cells[1])
    return wanted


def compile_protos(root: Path):
    import grpc_tools
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    site = Path(grpc_tools.__file__).parent.parent
    sources = [str(path) for path in sorted(root.rglob("*.proto"))]
    if not sources:
        sys.exit(f"{root}: no .proto file")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set"
        includes = [f"-I{root}", f"-I{site / 'grpc_tools' / '_proto'}", f"-I{site}"]
        if protoc.main(["", *includes, "--include_imports", f"--descriptor_set_out={out}", *sources]):
            sys.exit(2)
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


def short(type_name: str) -> str:
    return type_name.lstrip(".").removeprefix(PACKAGE + ".").removeprefix("google.protobuf.").removeprefix("google.rpc.")


def declared(descriptors) -> dict[str, dict]:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

    scalars = {value: name.removeprefix("TYPE_").lower() for name, value in Field.Type.items()}
    found: dict[str, dict] = {}

    def type_of(field) -> str:
        return short(field.type_name) if field.type_name else scalars[field.type]

    def message(node, prefix: str = "") -> None:
        maps = {inner.name: inner for inner in node.nested_type if inner.options.map_entry}
        fields = {}
        for field in node.field:
            if field.number >= EXTENSION_START:
                continue
            kind = type_of(field)
            entry = maps.get(kind.split(".")[-1])
            if entry is not None:
                key, value = entry.field
                kind = f"map({type_of(key)},{type_of(value)})"
            elif field.label == Field.LABEL_REPEATED:
                kind += "[]"
            elif field.proto3_optional:
                kind += "?"
            oneof = ""
            if field.HasField("oneof_index") and not field.proto3_optional:
                oneof = node.oneof_decl[field.oneof_index].name
            fields[field.number] = (field.name, kind, oneof)
        numbers = {n for r in node.reserved_range for n in range(r.start, min(r.end, EXTENSION_START))}
        found[f"message {prefix}{node.name}"] = {
            "fields": fields,
            "reserved": (frozenset(numbers), frozenset(node.reserved_name)),
        }
        for inner in node.nested_type:
            if not inner.options.map_entry:
                message(inner, f"{prefix}{node.name}.")

    shapes = {(False, False): "u", (False, True): "ss", (True, False): "cs", (True, True): "bidi"}
    for file in descriptors.file:
        if file.package != PACKAGE:
            continue
        for node in file.message_type:
            message(node)
        for node in file.enum_type:
            numbers = {n for r in node.reserved_range for n in range(r.start, r.end + 1)}
            found[f"enum {node.name}"] = {
                "values": {v.number: v.name for v in node.value if v.number < EXTENSION_START},
                "reserved": (frozenset(numbers), frozenset(node.reserved_name)),
            }
        for node in file.service:
            found[f"service {node.name}"] = {
                "rpcs": {
                    rpc.name: (
                        short(rpc.input_type),
                        short(rpc.output_type),
                        shapes[rpc.client_streaming, rpc.server_streaming],
                    )
                    for rpc in node.method
                }
            }
    return found


def differences(wanted: dict[str, dict], found: dict[str, dict]) -> list[str]:
    problems = []
    for name, want in sorted(wanted.items()):
        got = found.get(name)
        if got is None:
            problems.append(f"{name}: missing")
            continue
        for part, value in want.items():
            if isinstance(value, dict):
                for key in sorted(set(value) | set(got[part]), key=str):
                    if value.get(key) != got[part].get(key):
                        problems.append(f"{name}: {key}: want {value.get(key)}, got {got[part].get(key)}")
            elif value != got[part]:
                problems.append(f"{name}: {part}: want {value}, got {got[part]}")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--files", default=DEFAULT_FILES)
    options = parser.parse_args()
    wanted = read_contract(set(options.files.split(",")))
    problems = differences(wanted, declared(compile_protos(options.root)))
    print(*problems, sep="\n" if problems else "")
    rpcs = sum(len(item["rpcs"]) for item in wanted.values() if "rpcs" in item)
    fields = sum(len(item["fields"]) for item in wanted.values() if "fields" in item)
    print(f"contract: {len(wanted)} declarations, {fields} fields, {rpcs} rpcs, {len(problems)} differences")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
