"""The outcome of each rule, and the report of them as text, JSON and JUnit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from xml.etree import ElementTree

from gestalt_host.verification.frames import Frame
from gestalt_sdk.common.printable import printable, printable_json
from gestalt_sdk.version import VERSION


class Outcome(Enum):
    """How a rule stands; the value is the word for it."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one rule.

    Attributes:
        reason: Of a rule that was not offered or not run: what is missing, or the rule that failed before it.
        expected: Of one that failed: what had to be, and ``seen`` what was.
        frames: Of one that failed: what was exchanged, the oldest first.
        last_lines: Of one that failed: what the provider wrote last.
    """

    rule: str
    title: str
    outcome: Outcome
    duration_s: float = 0.0
    reason: str = ""
    expected: str = ""
    seen: str = ""
    frames: Sequence[Frame] = ()
    last_lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of all rules that were tried on one provider."""

    source: str
    kind: str
    findings: Sequence[Finding]

    @property
    def counts(self) -> Mapping[Outcome, int]:
        found = Counter(finding.outcome for finding in self.findings)
        return {outcome: found[outcome] for outcome in Outcome}

    @property
    def failures(self) -> int:
        return self.counts[Outcome.FAILED]

    @property
    def summary(self) -> str:
        """The numbers in words: ``21 passed, 1 failed, 3 not offered, 0 not run``."""
        return ", ".join(f"{number} {outcome.value}" for outcome, number in self.counts.items())


def as_text(report: Report) -> str:
    """Return a line for each rule; what is to be known of a failure follows it."""
    lines = [f"{report.kind} {printable(report.source)}, by the rules of gestaltd {VERSION}", ""]
    width = max((len(finding.rule) for finding in report.findings), default=0)
    for finding in report.findings:
        lines.append(f"{finding.outcome.value:<11}  {finding.rule:<{width}}  {finding.title}")
        if finding.outcome is Outcome.FAILED:
            lines += [f"    {line}" for line in _failure(finding)]
        elif finding.reason:
            lines.append(f"    {printable(finding.reason)}")
    return "\n".join([*lines, "", report.summary])


def _failure(finding: Finding) -> list[str]:
    lines = [f"expected: {printable(finding.expected)}", f"seen: {printable(finding.seen)}"]
    if finding.frames:
        lines += ["exchanged:", *(f"  {frame}" for frame in finding.frames)]
    if finding.last_lines:
        lines += ["it wrote last:", *(f"  {printable(line)}" for line in finding.last_lines)]
    return lines


def as_json(report: Report) -> str:
    """Return one object: ``source``, ``kind``, ``gestaltd``, ``counts`` by outcome, and ``rules`` with each finding."""
    document = {
        "source": report.source,
        "kind": report.kind,
        "gestaltd": VERSION,
        "counts": {outcome.value: number for outcome, number in report.counts.items()},
        "rules": [
            {**asdict(finding), "outcome": finding.outcome.value, "duration_s": round(finding.duration_s, 3)}
            for finding in report.findings
        ],
    }
    return "\n".join(map(printable_json, json.dumps(document, ensure_ascii=False, indent=2).split("\n")))


def as_junit(report: Report) -> str:
    """Return a test suite of JUnit with a case for each rule; what was not offered or not run is skipped."""
    counts = report.counts
    suite = ElementTree.Element(
        "testsuite",
        name=printable(f"{report.kind} {report.source}"),
        tests=str(len(report.findings)),
        failures=str(counts[Outcome.FAILED]),
        errors="0",
        skipped=str(counts[Outcome.NOT_OFFERED] + counts[Outcome.NOT_RUN]),
        time=f"{sum(finding.duration_s for finding in report.findings):.3f}",
    )
    for finding in report.findings:
        page, _, name = finding.rule.partition("/")
        case = ElementTree.SubElement(
            suite, "testcase", classname=page, name=f"{name}: {finding.title}", time=f"{finding.duration_s:.3f}"
        )
        if finding.outcome is Outcome.FAILED:
            message = printable(f"expected {finding.expected}; seen: {finding.seen}")
            ElementTree.SubElement(case, "failure", message=message).text = "\n".join(_failure(finding))
        elif finding.outcome is not Outcome.PASSED:
            ElementTree.SubElement(case, "skipped", message=printable(f"{finding.outcome.value}: {finding.reason}"))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode")


FORMATS: Mapping[str, Callable[[Report], str]] = {"text": as_text, "json": as_json, "junit": as_junit}
"""What a report can be written as, by the word for it."""
