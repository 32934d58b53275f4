"""The comments in proto/ are the specification, so nothing there is without one. Read from the descriptors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from tools.generate_protos import PROTO, describe

# Numbers of fields in descriptor.proto: the steps of a path in SourceCodeInfo.
MESSAGES, ENUMS, SERVICES = 4, 5, 6
FIELDS, NESTED_MESSAGES, NESTED_ENUMS, ONEOFS = 2, 3, 4, 8
VALUES, RPCS = 2, 2

Place = tuple[int, ...]
T = TypeVar("T")


def uncommented(root: Path, scratch: Path) -> list[str]:
    """Return what has no comment in the .proto files below ``root``: `file: full name`."""
    target = scratch / "described.binpb"
    describe(root, target)
    missing = []
    for file in FileDescriptorSet.FromString(target.read_bytes()).file:
        if not (root / file.name).exists():
            continue  # imported from elsewhere
        commented = {
            tuple(location.path)
            for location in file.source_code_info.location
            if location.leading_comments.strip() or location.trailing_comments.strip()
        }
        missing += [f"{file.name}: {name}" for place, name in elements(file) if place not in commented]
    return missing


def elements(file: FileDescriptorProto) -> Iterator[tuple[Place, str]]:
    for place, message in numbered((MESSAGES,), file.message_type):
        yield from message_elements(place, file.package, message)
    for place, enum in numbered((ENUMS,), file.enum_type):
        yield from enum_elements(place, file.package, enum)
    for place, service in numbered((SERVICES,), file.service):
        name = f"{file.package}.{service.name}"
        yield place, name
        for rpc_place, rpc in numbered((*place, RPCS), service.method):
            yield rpc_place, f"{name}/{rpc.name}"


def message_elements(place: Place, scope: str, message: DescriptorProto) -> Iterator[tuple[Place, str]]:
    name = f"{scope}.{message.name}"
    yield place, name
    for field_place, field in numbered((*place, FIELDS), message.field):
        yield field_place, f"{name}.{field.name}"
    made_by_optional = {field.oneof_index for field in message.field if field.proto3_optional}
    for number, oneof in enumerate(message.oneof_decl):
        if number not in made_by_optional:
            yield (*place, ONEOFS, number), f"{name}.{oneof.name}"
    for nested_place, nested in numbered((*place, NESTED_MESSAGES), message.nested_type):
        if not nested.options.map_entry:
            yield from message_elements(nested_place, name, nested)
    for enum_place, enum in numbered((*place, NESTED_ENUMS), message.enum_type):
        yield from enum_elements(enum_place, name, enum)


def enum_elements(place: Place, scope: str, enum: EnumDescriptorProto) -> Iterator[tuple[Place, str]]:
    yield place, f"{scope}.{enum.name}"
    for value_place, value in numbered((*place, VALUES), enum.value):
        yield value_place, f"{scope}.{enum.name}.{value.name}"


def numbered(place: Place, items: Sequence[T]) -> Iterator[tuple[Place, T]]:
    return (((*place, number), item) for number, item in enumerate(items))


def test_nothing_in_the_protos_is_without_a_comment(tmp_path: Path) -> None:
    missing = uncommented(PROTO, tmp_path)
    assert not missing, "\n".join(missing)


def test_each_kind_of_element_needs_its_comment(tmp_path: Path) -> None:
    planted = tmp_path / "proto"
    planted.mkdir()
    (planted / "plain.proto").write_text(PLAIN)
    (planted / "commented.proto").write_text(COMMENTED)
    assert uncommented(planted, tmp_path) == [
        f"plain.proto: plain.{name}"
        for name in (
            "Thing",
            "Thing.id",
            "Thing.map",
            "Thing.text",
            "Thing.choice",
            "Thing.Part",
            "Thing.Part.size",
            "Thing.Kind",
            "Thing.Kind.KIND_UNSPECIFIED",
            "State",
            "State.STATE_UNSPECIFIED",
            "Service",
            "Service/Get",
        )
    ]


PLAIN = """syntax = "proto3";

// A comment above a blank line belongs to nothing.

package plain;

message Thing {
  string id = 1;
  map<string, int64> map = 2;
  oneof choice { string text = 3; }
  message Part { optional int64 size = 1; }
  enum Kind { KIND_UNSPECIFIED = 0; }
}
enum State { STATE_UNSPECIFIED = 0; }
service Service {
  rpc Get(Thing) returns (Thing);
}
"""

COMMENTED = """syntax = "proto3";
package commented;

// A thing.
message Thing {
  string id = 1;  // Its name.
  // Sizes of its parts, in bytes.
  map<string, int64> map = 2;
  // One of them.
  oneof choice {
    string text = 3;  // As text.
  }
}
// Things.
service Service {
  // Returns one.
  rpc Get(Thing) returns (Thing);
}
"""
