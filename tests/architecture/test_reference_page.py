"""docs/providers/reference.md is what proto/ says, and what proto/ can say is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.generate_protos import PROTO
from tools.generate_reference import PAGE, Reference

WHOLE = """syntax = "proto3";
// About the file. Capability: `whole.file`.
package whole;

import "google/protobuf/empty.proto";

// Does things.
//
// To whom it wants.
// Errors: NOT_FOUND.
service Thinker {
  // Thinks `a<b>` or <c>.
  // Needs the capability `whole.rpc`.
  rpc Think(stream Thought) returns (google.protobuf.Empty);
}
// What is thought.
message Thought {
  reserved 1, 3 to 5;
  reserved "old";
  optional string text = 2;  // Text, a|b. Capability: `whole.text`.
  map<string, Part> parts = 6;  // By name.
  // One of two.
  oneof kind {
    Kind known = 7;  // Known.
    bytes raw = 8;   // Not known.
  }
  repeated Part.Detail details = 9;  // Many.
  // A part.
  message Part {
    // A detail.
    message Detail {}
  }
  // A kind.
  enum Kind {
    KIND_UNSPECIFIED = 0;  // None.
  }
}
"""


def test_the_page_is_what_the_protos_say() -> None:
    assert PAGE.read_text() == Reference(PROTO).page(), "run `make gen`"


def test_everything_that_a_file_can_say_is_shown(tmp_path: Path) -> None:
    (tmp_path / "whole.proto").write_text(WHOLE)
    page = Reference(tmp_path).page()
    _, _, shown = page.partition("## whole.proto\n")
    assert shown.splitlines() == SHOWN.splitlines()


def test_two_things_with_one_heading_are_told(tmp_path: Path) -> None:
    for package in ("one", "two"):
        (tmp_path / f"{package}.proto").write_text(f'syntax = "proto3";\npackage {package};\nmessage Thing {{}}\n')
    with pytest.raises(ValueError, match="### Thing"):
        Reference(tmp_path).page()


SHOWN = r"""
About the file. Capability: `whole.file`.

### Thinker

Service `whole.Thinker`.

Does things.

To whom it wants.

Errors: NOT_FOUND.

**`Think`** takes stream of [Thought](#thought), answers `Empty`

Thinks `a<b>` or &lt;c>. Needs the capability `whole.rpc`.

### Thought

What is thought.

| no. | field | type | meaning |
|---|---|---|---|
| 2 | `text` | string? | Text, a\|b. Capability: `whole.text`. |
| 6 | `parts` | map of string to [Thought.Part](#thoughtpart) | By name. |
| | oneof `kind` | | One of two. |
| 7 | `known` | [Thought.Kind](#thoughtkind) | Known. |
| 8 | `raw` | bytes | Not known. |
| 9 | `details` | [Thought.Part.Detail](#thoughtpartdetail)\[\] | Many. |

Reserved, never to be used again: 1, 3-5, `old`.

### Thought.Part

A part.

### Thought.Part.Detail

A detail.

### Thought.Kind

A kind.

| no. | value | meaning |
|---|---|---|
| 0 | `KIND_UNSPECIFIED` | None. |

## Capabilities

| capability | described at |
|---|---|
| `whole.file` | [whole.proto](#wholeproto) |
| `whole.rpc` | [Thinker/Think](#thinker) |
| `whole.text` | [Thought.text](#thought) |
"""
