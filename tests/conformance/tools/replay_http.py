#!/usr/bin/env python3
"""Replay recorded HTTP conversations against a server and compare its answers.

    replay_http.py [--reference] [--allow KEY]... BASE_URL FILE...

Every FILE is one scenario: JSON Lines, one step a line, played in order (the
fields of a step are described in recordings/http/README.md).  Steps that carry a
`deviation` are held to their `expect` alone, and need no variable of the recorded
answer; with --reference they are held to that answer like all others.  Without it a recorded
{"error": "invalid JSON body"} may go on after a colon.  Exit status 1 if any step differs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

UNTIL_SECONDS = 15.0
REQUEST = ("method", "path", "headers", "body", "raw", "pad")
INVALID_BODY = {"error": "invalid JSON body"}
PATTERNS = {
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?Z",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "hex32": r"[0-9a-f]{32}",
    "hex64": r"[0-9a-f]{64}",
    "any": r"(?s:.*)",
}
# <timestamp>, <uuid>, ..., and <timestamp T03:00:00Z>: any day at this time of day
PLACEHOLDER = re.compile(rf"<({'|'.join(PATTERNS)})(?: (T[0-9:]+Z))?>")
VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.text)
        except ValueError:
            return None


def send(base_url: str, step: dict[str, Any]) -> Answer:
    """Send the request of a step whose variables are already filled in."""
    base = urlsplit(base_url)
    text = step.get("raw") if "raw" in step else json.dumps(step["body"]) if "body" in step else None
    body = None if text is None else text.encode().ljust(step.get("pad", 0))
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    connection = kind(base.netloc, timeout=65)
    try:
        connection.request(step["method"], base.path + step["path"], body=body, headers=step.get("headers", {}))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read().decode("utf-8", "replace"))
    finally:
        connection.close()


def send_until(base_url: str, step: dict[str, Any], until: dict[str, Any] | None) -> Answer:
    """Send, and repeat for a while until the answer has the wanted member."""
    deadline = time.monotonic() + UNTIL_SECONDS
    while True:
        answer = send(base_url, step)
        if until is None or lookup(answer.json, until["path"]) == until["equals"] or time.monotonic() > deadline:
            return answer
        time.sleep(0.2)


def lookup(value: Any, path: str) -> Any:
    """The member at a dotted path such as `0.trigger.kind`, or None."""
    for part in path.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def fill(value: Any, variables: dict[str, str]) -> Any:
    """Replace ${name} in every string of a JSON value; KeyError for an unknown name."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: variables[found[1]], value)
    if isinstance(value, list):
        return [fill(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, variables) for key, item in value.items()}
    return value


def text_matches(recorded: str, actual: str) -> bool:
    pattern, end = "", 0
    for found in PLACEHOLDER.finditer(recorded):
        wanted = r"\d{4}-\d\d-\d\d" + re.escape(found[2]) if found[2] else PATTERNS[found[1]]
        pattern += re.escape(recorded[end : found.start()]) + wanted
        end = found.end()
    return re.fullmatch(pattern + re.escape(recorded[end:]), actual) is not None


def differences(recorded: Any, actual: Any, where: str, lists: str, allow: set[str]) -> Iterator[str]:
    """Yield one line per difference.  `lists` is exact, unordered or subset (see the README)."""
    if isinstance(recorded, dict) and isinstance(actual, dict):
        for key in recorded.keys() - actual.keys():
            yield f"{where}.{key}: missing, recorded {json.dumps(recorded[key])}"
        for key in actual.keys() - recorded.keys() - allow:
            yield f"{where}.{key}: not in the recording, got {json.dumps(actual[key])}"
        for key in recorded.keys() & actual.keys():
            yield from differences(recorded[key], actual[key], f"{where}.{key}", lists, allow)
    elif isinstance(recorded, list) and isinstance(actual, list):
        if lists == "exact":
            if len(recorded) != len(actual):
                yield f"{where}: recorded {len(recorded)} items, got {len(actual)}: {json.dumps(actual)}"
            for index, (want, got) in enumerate(zip(recorded, actual)):
                yield from differences(want, got, f"{where}.{index}", lists, allow)
            return
        rest = list(actual)
        for index, want in enumerate(recorded):
            equal = (i for i, got in enumerate(rest) if not any(differences(want, got, "", "exact", allow)))
            position = next(equal, None)
            if position is None:
                yield f"{where}.{index}: nothing equal in the answer (in this order): {json.dumps(want)}"
            else:  # a subset keeps the recorded order, so skip everything up to the match
                rest = rest[position + 1 :] if lists == "subset" else rest[:position] + rest[position + 1 :]
        if lists == "unordered" and rest:
            yield f"{where}: {len(rest)} items too many: {json.dumps(rest)}"
    elif isinstance(recorded, str) and isinstance(actual, str):
        if not text_matches(recorded, actual):
            yield f"{where}: recorded {json.dumps(recorded)}, got {json.dumps(actual)}"
    elif type(recorded) is not type(actual) or recorded != actual:
        yield f"{where}: recorded {json.dumps(recorded)}, got {json.dumps(actual)}"


def says_more(recorded: Any, actual: Any) -> bool:
    """Whether ours says behind the recorded text what is wrong with a body."""
    if recorded != INVALID_BODY or not isinstance(actual, dict) or actual.keys() != recorded.keys():
        return False
    return isinstance(actual["error"], str) and actual["error"].startswith(f"{recorded['error']}: ")


def unexpected(expect: dict[str, Any], answer: Answer) -> Iterator[str]:
    """What in an answer is not as the `expect` of a deviation wants it."""
    statuses = expect["status"] if isinstance(expect["status"], list) else [expect["status"]]
    if answer.status not in statuses:
        yield f"status: must be {expect['status']}, got {answer.status}"
    for part in expect.get("contains", []):
        if part not in answer.text:
            yield f"text: {part!r} is not in it"
    for name, parts in expect.get("headers_contain", {}).items():
        got = answer.headers.get(name)
        for part in parts:
            if got is None or part not in got:
                yield f"header {name}: {part!r} is not in {got!r}"
    if "items" in expect and (not isinstance(answer.json, list) or len(answer.json) != expect["items"]):
        yield f"json: must be a list of {expect['items']}"


def judge(
    step: dict[str, Any], answer: Answer, expect: dict[str, Any] | None, allow: set[str], reference: bool
) -> list[str]:
    """All differences between an answer and `expect` if given, else the recorded answer."""
    if expect is not None:
        found = list(unexpected(expect, answer))
        return [*found, f"(deviation: {step['deviation']}; got {answer.text!r})"] if found else []
    found = [] if answer.status == step["status"] else [f"status: recorded {step['status']}, got {answer.status}"]
    for name, value in step.get("headers_out", {}).items():
        if (got := answer.headers.get(name)) != value:
            found.append(f"header {name}: recorded {value!r}, got {got!r}")
    if "json" in step and answer.json is None and step["json"] is not None:
        found.append(f"json: recorded {json.dumps(step['json'])}, got the text {answer.text!r}")
    elif "json" in step and (reference or not says_more(step["json"], answer.json)):
        found += differences(step["json"], answer.json, "json", step.get("lists", "exact"), allow)
    elif "text" in step and not text_matches(step["text"], answer.text):
        found.append(f"text: recorded {step['text']!r}, got {answer.text!r}")
    return found


def replay(base_url: str, file: Path, reference: bool, allow: set[str]) -> tuple[int, int]:
    """Play one scenario, print what differs, return (agreeing steps, steps)."""
    variables: dict[str, str] = {}
    agreed = total = 0
    for number, line in enumerate(file.open(encoding="utf-8", newline="\n"), 1):
        step = json.loads(line)
        total += 1
        try:
            expect = step["expect"] if "deviation" in step and not reference else None
            if expect is not None and "only_with" in expect and expect["only_with"] not in variables:
                agreed += 1  # nothing to ask for: what would have made it was refused, as it must be
                continue
            until = (step if expect is None else expect).get("until")
            request = fill({key: step[key] for key in REQUEST if key in step}, variables)
            answer = send_until(base_url, request, fill(until, variables))
            captured = {name: lookup(answer.json, path) for name, path in step.get("capture", {}).items()}
            variables.update((name, value) for name, value in captured.items() if isinstance(value, str))
            recorded = step if expect is None else {"deviation": step["deviation"]}  # `expect` replaces the answer
            found = judge(fill(recorded, variables), answer, fill(expect, variables), allow, reference)
        except KeyError as missing:
            found = [f"needs {missing}, which no earlier answer gave"]
        except (OSError, http.client.HTTPException) as error:
            found = [f"no answer: {error!r}"]
        if not found:
            agreed += 1
            continue
        print(f"{file.name}:{number}  {step['name']}\n    {step['method']} {step['path']}")
        print("".join(f"    {text}\n" for text in found))
    return agreed, total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", action="store_true", help="the server is the reference: deviations do not apply")
    parser.add_argument("--allow", action="append", default=[], metavar="KEY", help="answers may have this extra key")
    parser.add_argument("base_url")
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    results = [replay(arguments.base_url, file, arguments.reference, set(arguments.allow)) for file in arguments.files]
    agreed, total = (sum(column) for column in zip(*results))
    print(f"{agreed} of {total} steps agree")
    return 0 if agreed == total else 1


if __name__ == "__main__":
    sys.exit(main())
