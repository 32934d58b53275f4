"""What a report says in each of its forms."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from google.protobuf.struct_pb2 import Struct

from gestalt_host.verification.families.messages import unknown_field
from gestalt_host.verification.frames import MOST_BYTES, MOST_FRAMES, RECEIVED, SENT, Frame, Frames
from gestalt_host.verification.report import Finding, Outcome, Report, as_json, as_junit, as_text
from gestalt_sdk.gen.v1 import runtime_pb2

REPORT = Report(
    "dist/provider-release.yaml",
    "workflow",
    [
        Finding("contract.md 2.4/serves", "It serves", Outcome.PASSED, 0.25),
        Finding(
            *("contract.md 1.3/kind", "It names its kind", Outcome.FAILED, 0.5),
            expected="kind <WORKFLOW>",
            seen="\x1b[31mCACHE\x00",
            frames=[Frame(RECEIVED, "ProviderLifecycle.GetProviderIdentity", "{}")],
            last_lines=["last \x1b[1mwords"],
        ),
        Finding("contract.md 2.3/reflection", "It lists", Outcome.NOT_OFFERED, reason="server reflection"),
        Finding("contract.md 2.4/sigterm", "It ends", Outcome.NOT_RUN, reason="contract.md 1.3/kind failed"),
    ],
)


def test_text_has_a_line_for_each_rule_and_all_of_a_failure() -> None:
    text = as_text(REPORT)
    assert text.splitlines()[2:] == [
        "passed       contract.md 2.4/serves      It serves",
        "failed       contract.md 1.3/kind        It names its kind",
        "    expected: kind <WORKFLOW>",
        "    seen: \\x1b[31mCACHE\\x00",
        "    exchanged:",
        "      < ProviderLifecycle.GetProviderIdentity {}",
        "    it wrote last:",
        "      last \\x1b[1mwords",
        "not offered  contract.md 2.3/reflection  It lists",
        "    server reflection",
        "not run      contract.md 2.4/sigterm     It ends",
        "    contract.md 1.3/kind failed",
        "",
        "1 passed, 1 failed, 1 not offered, 1 not run",
    ]


def test_json_has_every_finding() -> None:
    found = json.loads(as_json(REPORT))
    assert found["counts"] == {"passed": 1, "failed": 1, "not offered": 1, "not run": 1}
    assert [(rule["rule"], rule["outcome"]) for rule in found["rules"]] == [
        (finding.rule, finding.outcome.value) for finding in REPORT.findings
    ]
    assert found["rules"][1]["seen"] == "\x1b[31mCACHE\x00"
    assert found["rules"][1]["frames"][0]["direction"] == "<"


def test_junit_is_xml_whatever_a_provider_says() -> None:
    suite = ElementTree.fromstring(as_junit(REPORT))
    counted = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
    assert counted == {"tests": "4", "failures": "1", "errors": "0", "skipped": "2", "time": "0.750"}
    failure = suite.findall("testcase/failure")[0]
    assert failure.get("message") == "expected kind <WORKFLOW>; seen: \\x1b[31mCACHE\\x00"
    assert "GetProviderIdentity" in (failure.text or "")
    assert [case.get("classname") for case in suite.findall("testcase")][1] == "contract.md 1.3"


def test_frames_show_no_value_of_a_configuration_and_are_bounded() -> None:
    frames = Frames()
    request = runtime_pb2.ConfigureProviderRequest(name="n")
    config = Struct()
    config.update({"password": "hunter2", "deep": {"token": "hunter3"}})
    request.config.CopyFrom(config)
    frames.note(SENT, "ConfigureProvider", request)
    assert "hunter" not in str(frames.all()[0])
    assert "password" in str(frames.all()[0])
    for number in range(2 * MOST_FRAMES):
        frames.note(RECEIVED, str(number), "x" * 10 * MOST_BYTES)
    assert [frame.place for frame in frames.all()] == [str(number) for number in range(MOST_FRAMES, 2 * MOST_FRAMES)]
    assert all(len(frame.text) <= MOST_BYTES for frame in frames.all())


def test_an_unknown_field_is_a_field_of_a_message() -> None:
    message = runtime_pb2.ProviderIdentity.FromString(unknown_field(300))
    assert message == runtime_pb2.ProviderIdentity.FromString(message.SerializeToString())
    assert message.ByteSize() == len(unknown_field(300))
