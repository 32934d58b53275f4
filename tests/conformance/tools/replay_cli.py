#!/usr/bin/env python3
"""Replay recorded `gestalt` invocations against any client and server.

    replay_cli.py --program "gestalt" --url http://127.0.0.1:8080 FILE...

A FILE is one scenario, one JSON object (a step) per line; recordings/cli/README.md describes the members. The steps of a
file run in order in one scratch directory and share captured values. Files named ``*.requests.jsonl`` run against a
recording server started here, which also checks what the client sent; all others run against ``--url``.

Steps may carry a ``deviation``: a design decision makes ours differ from the recorded reference, and ``expect``
replaces the recorded members. ``--reference`` ignores it. ``--record`` rewrites the files with what was observed.

How a table is drawn is free: where the recording holds one, the same characters must be there, however arranged
(borders, dashes and blanks aside). A first line of stderr that ends with ``invalid JSON body`` may go on after a colon.
``--reference`` compares tables as printed and that line to its end.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from fcntl import ioctl
from pathlib import Path
from urllib.parse import urlsplit

UNTIL_TIMEOUT_S = 15.0
STEP_TIMEOUT_S = 60.0
VOLATILE = (  # applied in this order; never in *.requests.jsonl, where every answer is canned
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\bevent:[0-9a-f]{32}\b"), "event:<hash>"),
    (re.compile(r"\bgst_api_\w+"), "<token>"),
)
USAGE_PROGRAM = re.compile(r"^(\s*Usage: )(?:\S*python\S* -m )?\S+", re.MULTILINE)
INVALID_BODY = "invalid JSON body"
TABLE = re.compile(r"╭─*╮\n(?P<head>(?:│.*│\n)+)╞═*╡\n(?P<body>(?:│.*│\n)+)╰─*╯")


class RecordingServer(http.server.ThreadingHTTPServer):
    """Logs every request and answers from the running step's ``answers``, else ``{}``; reports authentication off."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recorder)
        self.requests: list[dict] = []
        self.answers: list[dict] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Recorder(http.server.BaseHTTPRequestHandler):
    def handle_any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = urlsplit(self.path)
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode(errors="replace")
        names = ("accept", "authorization", "content-type")
        headers = {name: self.headers[name] for name in names if self.headers[name] is not None}
        self.server.requests.append(
            {"method": self.command, "path": target.path, "query": target.query, "body": body, "headers": headers}
        )
        default = {"body": {"loginSupported": False} if target.path == "/api/v1/auth/info" else {}}
        asked = (self.command, target.path)
        answer = next((a for a in self.server.answers if (a["method"], a["path"]) == asked), default)
        text = answer["text"] if "text" in answer else json.dumps(answer.get("body", {}))
        self.send_response(answer.get("status", 200))
        for name, value in {"Content-Type": "application/json", **answer.get("headers", {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def log_message(self, *args: object) -> None:
        pass


class Scenario:
    """One file's scratch directory, captured values and server address."""

    def __init__(self, program: list[str], url: str, recorder: RecordingServer | None) -> None:
        self.program, self.url, self.recorder = program, url, recorder
        self.scratch = Path(tempfile.mkdtemp(prefix="replay-cli-")).resolve()
        (self.scratch / "home").mkdir()
        (self.scratch / "work").mkdir()
        self.known = {"scratch": str(self.scratch), "url": url, "host": urlsplit(url).netloc}

    def fill(self, value):
        """``${name}`` replaced in every string of ``value``; unknown names stay."""
        if isinstance(value, str):
            return re.sub(r"\$\{(\w+)\}", lambda m: self.known.get(m[1], m[0]), value)
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        return value

    def normalise(self, text: str) -> str:
        """Text with captured and volatile values named, so that two runs can be compared."""

        def named(part: str) -> str:
            for name, value in sorted(self.known.items(), key=lambda item: -len(item[1])):
                part = part.replace(value, "${%s}" % name) if value else part
            for pattern, word in VOLATILE if self.recorder is None else ():
                part = pattern.sub(word, part)
            return part

        def table(match: re.Match) -> str:
            rows = "\n".join(" | ".join(row) for row in unwrapped(match["head"], match["body"]))
            return match[0] if named(rows) == rows else named(rows)

        return USAGE_PROGRAM.sub(r"\1gestalt", named(TABLE.sub(table, text.replace("\r\n", "\n"))))

    def run(self, step: dict) -> dict:
        """Run one step, again until its ``until`` text appears, and return what was observed."""
        for name, text in self.fill(step.get("files", {})).items():
            path = self.scratch / "work" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        wanted = self.fill(step.get("until", {}).get("contains", ""))
        deadline = time.monotonic() + UNTIL_TIMEOUT_S
        while True:
            code, stdout, stderr, requests = self._invoke(step)
            if wanted in stdout or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        for name, how in step.get("capture", {}).items():
            self.known[name] = captured(how, stdout)
        observed = {"exit": code, "stdout": self.normalise(stdout), "stderr": self.normalise(stderr)}
        if self.recorder is not None:
            observed["requests"] = json.loads(self.normalise(json.dumps(requests)))
        observed["files_after"] = {name: self._file(name) for name in step.get("files_after", {})}
        return observed

    def _invoke(self, step: dict) -> tuple[int, str, str, list[dict]]:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.scratch / "home"), "LANG": "C.UTF-8", "NO_PROXY": "*",
               "TERM": "xterm", "GESTALT_URL": self.url}
        if self.recorder is not None:
            self.recorder.requests, self.recorder.answers = [], self.fill(step.get("answers", []))
            env["GESTALT_API_KEY"] = "test-token"
        env |= self.fill(step.get("env", {}))
        env = {name: value for name, value in env.items() if value is not None}
        outputs = [Output(step.get("tty", {}).get(name)) for name in ("stdout", "stderr")]
        process = subprocess.Popen(
            [*self.program, *self.fill(step["argv"])], env=env, cwd=self.scratch / "work",
            stdin=subprocess.PIPE, stdout=outputs[0].child, stderr=outputs[1].child,
        )
        for output in outputs:
            output.start()
        try:
            process.communicate(self.fill(step.get("stdin", "")).encode(), timeout=STEP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
        stdout, stderr = (output.text() for output in outputs)
        return process.wait(), stdout, stderr, list(self.recorder.requests) if self.recorder else []

    def _file(self, name: str) -> dict:
        path = self.scratch / name
        if not path.exists():
            return {"exists": False}
        return {"mode": oct(path.stat().st_mode & 0o777), "text": self.normalise(path.read_text())}


class Output:
    """One output stream of the client: a pipe, or a terminal ``columns`` wide."""

    def __init__(self, columns: int | None) -> None:
        self.parent, self.child = os.pipe() if columns is None else pty.openpty()
        if columns is not None:
            ioctl(self.child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        os.close(self.child)
        self._thread.start()

    def _read(self) -> None:
        try:
            while chunk := os.read(self.parent, 65536):
                self._chunks.append(chunk)
        except OSError:  # Linux reports EIO on a terminal whose other side is closed
            pass

    def text(self) -> str:
        self._thread.join(timeout=5)
        os.close(self.parent)
        return b"".join(self._chunks).decode(errors="replace")


def unwrapped(head: str, body: str) -> list[list[str]]:
    """Rows of a printed table, cells put together again without blanks.

    Columns are parted by three blanks in every line. The first line of a row has the most filled cells: wrapped
    lines that follow leave some column empty.
    """
    lines = [line[1:-1] for line in (head + body).splitlines()]
    used = ("x" if any(line[i : i + 1].strip() for line in lines) else " " for i in range(max(map(len, lines))))
    spans = [m.span() for m in re.finditer(r"x+(?: {1,2}x+)*", "".join(used))]
    cells = [[line[a:b].replace(" ", "") for a, b in spans] for line in lines]
    filled = [sum(map(bool, row)) for row in cells]
    heads = head.count("\n")
    rows: list[list[str]] = []
    for number, row in enumerate(cells):
        if number in (0, heads) or number > heads and filled[number] == max(filled[heads:]):
            rows.append(row)
        else:
            rows[-1] = [old + new for old, new in zip(rows[-1], row)]
    return rows


def captured(how: str, stdout: str) -> str:
    """The value that ``json:dotted.path`` or a regular expression with one group finds; empty when nothing does."""
    try:
        if not how.startswith("json:"):
            return re.search(how, stdout)[1]
        value = json.loads(stdout)
        for key in how[5:].split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
        return str(value)
    except (ValueError, KeyError, IndexError, TypeError):
        return ""


def help_of(text: str) -> dict[str, list[str]]:
    """The commands and options that a help text lists."""
    commands: list[str] = []
    section = ""
    for line in text.splitlines():
        line = line.strip(" │|")
        if re.fullmatch(r"\W*(commands|options|arguments)\W*:?\W*", line, re.IGNORECASE):
            section = re.sub(r"\W", "", line).lower()
        elif section == "commands" and (word := re.match(r"[a-z][\w-]*", line)):
            commands.append(word[0])
    starts = re.findall(r"^[ │|*]*(-{1,2}[A-Za-z][\w-]*(?:\s*[,/]?\s+-{1,2}[A-Za-z][\w-]*)*)", text, re.MULTILINE)
    options = {option for start in starts for option in re.findall(r"--?[A-Za-z][\w-]*", start)}
    return {"commands": sorted(set(commands)), "options": sorted(options)}


def first_line(text: str) -> str:
    return " ".join((text.strip().splitlines() or [""])[0].split())


def said(text: str) -> str | list[str]:
    """A text, or of a printed table only what it says: its characters without borders, dashes and blanks, in order of code."""
    is_table = "╭" in text or re.search(r"^\S.* \| .*\n.* \| ", text, re.MULTILINE)
    return sorted(re.sub(r"[\s│|─━═╭╮╰╯╞╡┌┐└┘├┤┬┴┼—-]", "", text)) if is_table else text


def differences(step: dict, seen: dict, *, reference: bool) -> list[str]:
    """What in ``seen`` contradicts the step's expectations, in words; ``reference``: also in what is free for ours."""
    found: list[str] = []

    def differ(what: str, expected: object, got: object) -> None:
        found.append(f"{what}\n    expected: {_shown(expected)}\n    got:      {_shown(got)}")

    if seen["exit"] != step["exit"]:
        differ("exit code", step["exit"], seen["exit"])
    if "help" in step:
        listed = help_of(seen[step["help"].get("stream", "stdout")])
        for kind in ("commands", "options"):
            if missing := sorted(set(step["help"].get(kind, [])) - set(listed[kind])):
                differ(f"help {kind}, missing {', '.join(missing)}", step["help"][kind], listed[kind])
    for stream in ("stdout", "stderr"):
        if (parts := step.get(f"{stream}_contains")) is not None:
            flat = " ".join(seen[stream].split()).lower()
            if missing := [part for part in parts if " ".join(part.split()).lower() not in flat]:
                differ(f"{stream} lacks", missing, seen[stream])
        elif stream == "stdout" and "stdout" in step and seen["stdout"] != step["stdout"]:
            want = said(step["stdout"])
            if reference or isinstance(want, str) or want != said(f"{seen['stdout']}╭"):
                differ("stdout", step["stdout"], seen["stdout"])
        elif stream == "stderr" and "stderr" in step:
            whole = step.get("stderr_exact", False)
            expected, got = (text if whole else first_line(text) for text in (step["stderr"], seen["stderr"]))
            goes_on = expected.endswith(INVALID_BODY) and got.startswith(f"{expected}: ")
            if expected != got and (reference or not goes_on):
                differ("stderr", expected, got)
    if "requests" in step:
        known = [{key: got.get(key) for key in want} for want, got in zip(step["requests"], seen.get("requests", []))]
        if known != step["requests"] or len(known) != len(seen.get("requests", [])):
            differ("requests", step["requests"], seen.get("requests", []))
    for name, want in step.get("files_after", {}).items():
        if want != seen["files_after"][name]:
            differ(f"file {name}", want, seen["files_after"][name])
    return found


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.rstrip("\n").replace("\n", "\n      ") or "(nothing)"


def recorded(step: dict, seen: dict) -> dict:
    """The step with its expectations replaced by what was observed; keeps the form each expectation has."""
    step = dict(step, exit=seen["exit"])
    if "help" in step:
        stream = step["help"].get("stream", "stdout")
        step["help"] = {**help_of(seen[stream]), **({"stream": stream} if stream != "stdout" else {})}
    for stream in ("stdout", "stderr"):
        if step.get("help", {}).get("stream", "stdout" if "help" in step else None) != stream:
            step[stream] = seen[stream]
    if "requests" in seen:
        left_out = () if step.get("headers") else ("headers",)
        step["requests"] = [{k: v for k, v in got.items() if k not in left_out} for got in seen["requests"]]
    if "files_after" in step:
        step["files_after"] = seen["files_after"]
    return step


def replay(path: Path, program: list[str], url: str, *, reference: bool, record: bool) -> tuple[int, int]:
    """Replay one file, print its differences, and return (steps that agree, steps)."""
    steps = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    recorder = RecordingServer() if path.name.endswith(".requests.jsonl") else None
    scenario = Scenario(program, recorder.url if recorder else url, recorder)
    agreeing, rewritten = 0, []
    try:
        for step in steps:
            seen = scenario.run(step)
            rewritten.append(recorded(step, seen))
            expected = {**step, **({} if reference else step.get("deviation", {}).get("expect", {}))}
            found = [] if record else differences(expected, seen, reference=reference)
            agreeing += not found
            if found:
                print(f"{path.name}: {step['name']}: {shlex.join(scenario.program + scenario.fill(step['argv']))}")
                print("".join(f"  {entry}\n" for entry in found))
    finally:
        shutil.rmtree(scenario.scratch, ignore_errors=True)
        if recorder:
            recorder.shutdown()
    if record:
        path.write_text("".join(json.dumps(step, ensure_ascii=False) + "\n" for step in rewritten))
    return agreeing, len(steps)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="gestalt", help="client command line (default: gestalt)")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="server for all but *.requests.jsonl")
    parser.add_argument("--reference", action="store_true", help="expect the recorded reference, ignore deviations")
    parser.add_argument("--record", action="store_true", help="rewrite the files with what was observed")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    options = parser.parse_args()
    program, url = shlex.split(options.program), options.url.rstrip("/")
    counts = [
        replay(path, program, url, reference=options.reference, record=options.record) for path in options.files
    ]
    agreeing, total = (sum(column) for column in zip(*counts))
    print(f"{agreeing} of {total} steps agree")
    return 0 if agreeing == total else 1


if __name__ == "__main__":
    sys.exit(main())
