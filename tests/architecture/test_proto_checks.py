"""What `make proto-check` refuses: names of another form, and changes that peers of the commit before do not bear."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_protos import check, find_buf

BUF = find_buf()
pytestmark = pytest.mark.skipif(BUF is None, reason="buf is not installed")


def protos(folder: Path, message: str) -> Path:
    target = folder / "v1"
    target.mkdir(parents=True)
    (target / "thing.proto").write_text(f'syntax = "proto3";\npackage thing.v1;\n{message}\n')
    return folder


@pytest.mark.parametrize(
    ("message", "finding"),
    [
        ("message Thing { string id = 1; int32 size = 2; }", ""),
        ("message Thing { reserved 1; reserved 'id'; }", ""),
        ("message Thing { string id = 2; }", 'Previously present field "1"'),
        ("message Thing { string name = 1; }", 'from "id" to "name"'),
        ("message Thing { bytes id = 1; }", 'from "string" to "bytes"'),
        ("message Thing { string id = 1; } message other_thing {}", "should be PascalCase"),
    ],
)
def test_a_change_is_accepted_when_old_peers_bear_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], message: str, finding: str
) -> None:
    assert BUF is not None
    before = protos(tmp_path / "before", "message Thing { string id = 1; }")
    assert check(BUF, protos(tmp_path / "now", message), before) is not bool(finding)
    printed = capfd.readouterr().out
    assert finding in printed if finding else not printed
