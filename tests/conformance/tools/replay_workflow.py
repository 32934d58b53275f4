#!/usr/bin/env python3
"""Replay recorded workflow-provider scenarios against a workflow provider and its IndexedDB store.

    replay_workflow.py --workflow-command CMD --store-command CMD --proto-path DIR FILE...

Each FILE (JSON lines, see recordings/workflow/README.md) runs against a fresh pair of processes that are started,
configured and stopped the way the host does it: bare socket paths in the environment, identity, configure,
identity, start. This program plays the host: it serves WorkflowHost from a script and journals every
InvokeOperation. A member that a deviation's `expect` gives as null is taken away from the step. Exit status 0 when every
step agrees, 1 when any differs, 2 when nothing could be run. Needs Python 3.11, grpcio, grpcio-tools (for protoc) and protobuf.
"""
from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures
from datetime import datetime, timezone
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

PACKAGE = "gestalt.provider.v1"
OPTIONS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20),
           ("grpc.default_authority", "localhost")]
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
STATUS_PROTO = """syntax = "proto3"; package google.rpc; import "google/protobuf/any.proto";
message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }"""
SAME_TIME = 0.001  # two times within this many seconds are the same time


# --- the contract ---------------------------------------------------------------------------------------------

class Contract:
    """Messages and method signatures of every .proto under a directory, compiled into a private pool."""

    def __init__(self, root: Path):
        protos = sorted(p for p in root.rglob("*.proto") if not {"node_modules", ".venv", "venv"} & set(p.parts))
        if not protos:
            raise SystemExit(f"no .proto file under {root}")
        wanted = set()
        for p in protos:
            wanted |= set(re.findall(r'^\s*import\s+(?:public\s+|weak\s+)?"([^"]+)"', p.read_text(), re.M))
        wanted = {w for w in wanted if not w.startswith("google/")}
        bases = [root, *sorted({p.parent for p in protos} | {p.parent.parent for p in protos})]
        includes = [root] + [b for b in bases if b != root and root in b.parents and any((b / w).is_file() for w in wanted)
                             and not all((root / w).is_file() for w in wanted)]
        with tempfile.TemporaryDirectory() as tmp:
            out = Path(tmp, "all.pb")
            Path(tmp, "google/rpc").mkdir(parents=True)
            Path(tmp, "google/rpc/status.proto").write_text(STATUS_PROTO)
            names = []
            for p in protos:  # a file is named by the include directory nearest to it
                base = max((b for b in includes if b in p.parents), key=lambda b: len(b.parts))
                names.append(str(p.relative_to(base)))
            try:
                from grpc_tools import protoc
                import importlib.resources
                google = str(importlib.resources.files("grpc_tools") / "_proto")
                code = protoc.main(["protoc", *[f"-I{b}" for b in includes], f"-I{google}", f"-I{tmp}", "--include_imports",
                                    f"--descriptor_set_out={out}", *names])
            except ImportError:
                code = subprocess.call(["protoc", *[f"-I{b}" for b in includes], f"-I{tmp}", "--include_imports",
                                        f"--descriptor_set_out={out}", *names])
            if code:
                raise SystemExit("the .proto files do not compile")
            files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for f in files.file:
            self.pool.Add(f)
        self.methods = {}
        for f in files.file:
            for s in f.service:
                full = f"{f.package}.{s.name}"
                for m in self.pool.FindServiceByName(full).methods:
                    entry = (f"/{full}/{m.name}", self.cls(m.input_type), self.cls(m.output_type))
                    if f.package == PACKAGE:
                        self.methods[f"{s.name}/{m.name}"] = entry
                    self.methods[f"{full}/{m.name}"] = entry

    def cls(self, descriptor):
        return message_factory.GetMessageClass(descriptor)

    def message(self, name):
        return self.cls(self.pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))

    def call(self, channel, rpc, request: dict, timeout=30.0):
        path, req_cls, resp_cls = self.methods[rpc]
        message = json_format.ParseDict(request, req_cls(), descriptor_pool=self.pool)
        stub = channel.unary_unary(path, request_serializer=req_cls.SerializeToString,
                                   response_deserializer=resp_cls.FromString)
        return self.to_json(stub(message, timeout=timeout))

    def to_json(self, message) -> dict:
        return prune(json_format.MessageToDict(strip_extensions(message), descriptor_pool=self.pool))


def prune(value):
    """An empty object in one of these members says the same as its absence."""
    if isinstance(value, dict):
        return {k: prune(v) for k, v in value.items()
                if v != {} or k not in ("input", "metadata", "payload", "data", "responseSchema", "modelOptions", "createdBy")}
    return [prune(v) for v in value] if isinstance(value, list) else value


def strip_extensions(message):
    """Fields numbered 1000 and above are extensions of the project: not part of the recorded contract."""
    for field, value in list(message.ListFields()):
        if field.number >= 1000:
            message.ClearField(field.name)
        elif field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                continue
            for item in ([value] if hasattr(value, "DESCRIPTOR") else value):
                strip_extensions(item)
    return message


# --- processes ------------------------------------------------------------------------------------------------

class Process:
    def __init__(self, contract, name, command, directory, extra_env, config, log):
        self.contract, self.name, self.command, self.directory = contract, name, command, directory
        self.extra_env, self.config, self.log = extra_env, config, log
        self.socket = os.path.join(directory, "plugin.sock")
        self.proc = self.channel = None

    def launch(self):
        env = {k: os.environ[k] for k in ("PATH", "HOME", "TMPDIR", "LANG", "TZ") if k in os.environ}
        env.update(self.extra_env, GESTALT_PLUGIN_SOCKET=self.socket, GESTALT_PLUGIN_PARENT_PID=str(os.getpid()),
                   GESTALT_PLUGIN_NAME=self.name)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.proc = subprocess.Popen(shlex.split(self.command), env=env, stdin=subprocess.DEVNULL, stdout=self.log,
                                     stderr=self.log)
        deadline = time.monotonic() + 45
        while not os.path.exists(self.socket):
            if self.proc.poll() is not None:
                raise RuntimeError(f"{self.name}: process exited with {self.proc.returncode} before serving")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: no socket after 45 s")
            time.sleep(0.025)
        self.channel = grpc.insecure_channel(f"unix:{self.socket}", options=OPTIONS)
        grpc.channel_ready_future(self.channel).result(timeout=max(1.0, deadline - time.monotonic()))

    def configure(self):
        self.contract.call(self.channel, "ProviderLifecycle/GetProviderIdentity", {})
        request = {"name": self.name, "protocolVersion": 3}
        if self.config:
            request["config"] = self.config
        self.contract.call(self.channel, "ProviderLifecycle/ConfigureProvider", request)
        self.contract.call(self.channel, "ProviderLifecycle/GetProviderIdentity", {})

    def start(self):
        try:
            self.contract.call(self.channel, "ProviderLifecycle/StartProvider", {}, timeout=120)
        except grpc.RpcError as e:
            if e.code() != grpc.StatusCode.UNIMPLEMENTED:
                raise

    def stop(self, how="term"):
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        if self.proc is None or self.proc.poll() is not None:
            return
        self.proc.send_signal(signal.SIGKILL if how == "kill" else signal.SIGTERM)
        try:
            self.proc.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()


class Host:
    """WorkflowHost: answers by script, journals every call."""

    def __init__(self, contract, socket):
        self.contract, self.script, self.journal, self.lock = contract, {}, [], threading.Lock()
        path, req_cls, resp_cls = contract.methods["WorkflowHost/InvokeOperation"]
        self.resp_cls = resp_cls
        handler = grpc.method_handlers_generic_handler(path.split("/")[1], {
            "InvokeOperation": grpc.unary_unary_rpc_method_handler(
                self.invoke, request_deserializer=req_cls.FromString, response_serializer=resp_cls.SerializeToString)})
        self.server = grpc.server(futures.ThreadPoolExecutor(64), options=OPTIONS)
        self.server.add_generic_rpc_handlers((handler,))
        self.server.add_insecure_port(f"unix:{socket}")
        self.server.start()

    def invoke(self, request, context):
        got = self.contract.to_json(request)
        target = got.get("target", {})
        name = (f"{target['plugin'].get('pluginName', '')}.{target['plugin'].get('operation', '')}"
                if "plugin" in target else "agent:" + target.get("agent", {}).get("providerName", ""))
        with self.lock:
            self.journal.append(got)
            action = {"status": 200, "body": "ok"}
            for pattern, answer in self.script.items():
                if fnmatch.fnmatchcase(name, pattern):
                    if isinstance(answer, list):
                        action = answer.pop(0) if len(answer) > 1 else answer[0]
                    else:
                        action = answer
                    break
        end = time.monotonic() + action.get("delay_ms", 0) / 1000
        while time.monotonic() < end and context.is_active():
            time.sleep(min(0.02, max(0.0, end - time.monotonic())))
        if "error" in action:
            context.abort(grpc.StatusCode[action["error"]["code"]], action["error"].get("message", ""))
        return self.resp_cls(status=action.get("status", 200), body=action.get("body", ""))


class Rig:
    def __init__(self, args, contract, header):
        self.args, self.contract = args, contract
        self.dir = tempfile.mkdtemp(prefix="gstp-", dir="/tmp")
        os.makedirs(os.path.join(self.dir, "s"))
        os.makedirs(os.path.join(self.dir, "w"))
        self.log = open(os.path.join(self.dir, "log"), "wb")
        host_socket = os.path.join(self.dir, "w", "host-0.sock")
        self.host = Host(contract, host_socket)
        store_config = json.loads((args.store_config or '{"dsn": "sqlite://%s/state.db", "table_prefix": "workflow_", '
                                   '"prefix": "workflow_"}').replace("%s", self.dir))
        workflow_config = {**json.loads(args.workflow_config or "{}"), **header.get("workflow_config", {})}
        self.store = Process(contract, "workflow", args.store_command, os.path.join(self.dir, "s"), {}, store_config, self.log)
        self.store.launch()
        self.store.configure()
        store_socket = self.store.socket
        if getattr(args, "wrap_store", None):
            store_socket = args.wrap_store(self.dir, self.store.socket)
        self.workflow = Process(contract, header.get("provider_name", "local"), args.workflow_command,
                                os.path.join(self.dir, "w"),
                                {"GESTALT_WORKFLOW_HOST_SOCKET": host_socket, "GESTALT_INDEXEDDB_SOCKET": store_socket},
                                workflow_config, self.log)
        self.header = header
        self.boot()

    def boot(self):
        self.workflow.launch()
        if self.header.get("configure", True):
            self.workflow.configure()
            if self.header.get("start", True):
                self.workflow.start()

    def channel(self, rpc):
        return self.store.channel if rpc.split("/")[0].rpartition(".")[2] == "IndexedDB" else self.workflow.channel

    def close(self):
        self.workflow.stop()
        self.store.stop()
        self.host.server.stop(0.2).wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


# --- comparing ------------------------------------------------------------------------------------------------

def substitute(value, variables):
    if isinstance(value, str):
        whole = re.fullmatch(r"\$\{(\w+)\}", value)
        if whole:
            return variables[whole[1]]
        return re.sub(r"\$\{(\w+)\}", lambda m: str(variables[m[1]]), value)
    if isinstance(value, list):
        return [substitute(v, variables) for v in value]
    if isinstance(value, dict):
        return {substitute(k, variables): substitute(v, variables) for k, v in value.items()}
    return value


def instant(text):
    m = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z", text)
    base = datetime.fromisoformat(m[1]).replace(tzinfo=timezone.utc).timestamp()
    return base + float(m[2] or 0)


def dig(value, path):
    for part in path.split(".") if path else []:
        if isinstance(value, list):
            value = value[int(part)] if part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def differences(expected, got, path="", subset=False):
    """Readable differences; `subset` ignores members of objects that are not mentioned."""
    here = path or "."
    if isinstance(expected, str) and isinstance(got, str):
        if expected == got or expected == "<any>":
            return []
        if expected == "<time>":
            return [] if TIME.match(got) else [f"{here}: expected a time, got {got!r}"]
        if expected == "<uuid>":
            return [] if UUID.match(got) else [f"{here}: expected a uuid, got {got!r}"]
        if expected.startswith("<re:") and expected.endswith(">"):
            return [] if re.fullmatch(expected[4:-1], got, re.S) else [f"{here}: expected {expected}, got {got!r}"]
        if TIME.match(expected) and TIME.match(got) and abs(instant(expected) - instant(got)) < SAME_TIME:
            return []
        return [f"{here}: expected {expected!r}, got {got!r}"]
    if expected == "<any>" and got is not None:
        return []
    if isinstance(expected, dict) and set(expected) == {"<json>"} and isinstance(got, str):
        try:
            return differences(expected["<json>"], prune(json.loads(got)), path, subset)
        except ValueError:
            return [f"{here}: expected JSON text, got {got!r}"]
    if isinstance(expected, dict) and isinstance(got, dict):
        out = []
        for k in expected:
            if k not in got:
                out.append(f"{path + '.' if path else ''}{k}: missing, expected {short(expected[k])}")
            else:
                out += differences(expected[k], got[k], f"{path + '.' if path else ''}{k}", subset)
        if not subset:
            out += [f"{path + '.' if path else ''}{k}: unexpected {short(got[k])}" for k in got if k not in expected]
        return out
    if isinstance(expected, list) and isinstance(got, list):
        out = []
        if len(expected) != len(got):
            out.append(f"{here}: expected {len(expected)} items, got {len(got)}: {short(got)}")
        for i, (a, b) in enumerate(zip(expected, got)):
            out += differences(a, b, f"{path + '.' if path else ''}{i}", subset)
        return out
    if isinstance(expected, (int, float)) and isinstance(got, (int, float)) and not isinstance(expected, bool) \
            and not isinstance(got, bool):
        return [] if expected == got else [f"{here}: expected {expected}, got {got}"]
    return [] if type(expected) is type(got) and expected == got else [f"{here}: expected {short(expected)}, got {short(got)}"]


def short(value):
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) < 300 else text[:297] + "..."


def check(test, got, variables):
    """One of {"path", "equals"|"one_of"|"differs"|"after"|"before"|"absent"|"length"}."""
    value = dig(got, test["path"])
    if "length" in test:
        return [] if len(value or []) == test["length"] else [f"{test['path']}: expected {test['length']} items, got {len(value or [])}"]
    if "one_of" in test:
        return [] if value in test["one_of"] else [f"{test['path']}: {short(value)} is none of {short(test['one_of'])}"]
    if test.get("absent"):
        return [] if value is None else [f"{test['path']}: expected nothing, got {short(value)}"]
    if value is None:
        return [f"{test['path']}: missing"]
    for word, fits in (("equals", lambda a, b: not differences(b, a)), ("differs", lambda a, b: bool(differences(b, a))),
                       ("after", lambda a, b: instant(a) > instant(b)), ("before", lambda a, b: instant(a) < instant(b))):
        if word in test:
            other = substitute(test[word], variables)
            if not fits(value, other):
                return [f"{test['path']}: {short(value)} is not {word} {short(other)}"]
    return []


# --- replaying ------------------------------------------------------------------------------------------------

class Replay:
    def __init__(self, args, contract):
        self.args, self.contract = args, contract
        self.agree = self.total = self.skipped = 0

    def file(self, path):
        lines = [json.loads(line) for line in Path(path).read_text().splitlines() if line.strip()]
        if lines and "cron" in lines[0]:
            print(f"{path}: cron vectors are data, not steps; left out")
            return
        header = lines.pop(0)["header"] if lines and "header" in lines[0] else {}
        rig = Rig(self.args, self.contract, header)
        variables, consumed = {}, 0
        try:
            for number, step in enumerate(lines, 1):
                problems, consumed, skipped = self.step(rig, step, variables, consumed)
                if skipped:
                    self.skipped += 1
                    continue
                self.total += 1
                if not problems:
                    self.agree += 1
                    if self.args.verbose:
                        print(f"ok   {Path(path).name}:{number} {step.get('name', '')}")
                    continue
                print(f"--- {Path(path).name}, step {number}: {step.get('name', '')}  [{step.get('rpc') or 'no call'}]")
                if "request" in step:
                    print(f"    request  {short(substitute_safe(step['request'], variables))}")
                for p in problems:
                    print(f"    {p}")
                if step.get("why"):
                    print(f"    why      {step['why']}")
        finally:
            rig.close()

    def step(self, rig, step, variables, consumed):
        if step.get("only", self.args.as_) != self.args.as_:
            return [], consumed, True
        deviation = step.get("deviation") if self.args.as_ == "project" else None
        if deviation:
            expect = deviation.get("expect", {})
            step = {k: v for k, v in step.items() if not (k in ("response", "error") and {"response", "error", "any"} & set(expect))}
            step.update(expect)
            step = {k: v for k, v in step.items() if v is not None}
        only_effects = bool(step.get("skip"))
        if "host" in step:
            rig.host.script = json.loads(json.dumps(substitute(step["host"], variables)))
        if "restart" in step:
            rig.workflow.stop(step["restart"])
            if step.get("down_ms"):
                time.sleep(step["down_ms"] / 1000)
            if step.get("down_over_minutes"):
                over_minutes(step["down_over_minutes"])
            rig.boot()
        if step.get("wait_over_minutes"):
            over_minutes(step["wait_over_minutes"])
        if step.get("wait_ms"):
            time.sleep(step["wait_ms"] / 1000)
        problems, response = [], None
        if "rpc" in step:
            response, error = self.perform(rig, step, variables)
            if "any" in step:
                pass
            elif "error" in step:
                if error is None:
                    problems.append(f"expected error {step['error']['code']} {step['error'].get('message', '')!r}, "
                                    f"got {short(response)}")
                else:
                    wanted = dict(substitute(step["error"], variables))
                    if self.args.messages == "ignore":
                        wanted.pop("message", None)
                    problems += differences(wanted, error, "error", subset=True)
            elif error is not None:
                problems.append(f"unexpected error {error['code']} {error['message']!r}")
            elif "response" in step:
                problems += differences(prune(substitute(step["response"], variables)), response, "",
                                        step.get("subset", False))
            if response is not None:
                for test in step.get("checks", []):
                    problems += check(test, response, variables)
                for name, path in step.get("capture", {}).items():
                    variables[name] = dig(response, path)
                    if variables[name] is None:
                        problems.append(f"nothing at {path} to capture")
        if "expect_invocations" in step:
            more, consumed = self.invocations(rig, step, variables, consumed)
            problems += more
        return problems, consumed, only_effects

    def perform(self, rig, step, variables):
        request = substitute(step.get("request", {}), variables)
        deadline = time.monotonic() + step.get("within_ms", 10000) / 1000
        until = step.get("until")
        while True:
            try:
                response, error = self.contract.call(rig.channel(step["rpc"]), step["rpc"], request), None
            except grpc.RpcError as e:
                response, error = None, {"code": e.code().name, "message": e.details() or ""}
            if until is None or error is not None and not until.get("through_errors"):
                return response, error
            if response is not None and not check(until, response, variables):
                return response, error
            if time.monotonic() > deadline:
                return None, {"code": "TIMEOUT", "message": f"{until} not reached; last answer "
                                                           f"{short(response if error is None else error)}"}
            time.sleep(step.get("every_ms", 50) / 1000)

    def invocations(self, rig, step, variables, consumed):
        wanted = prune(substitute(step["expect_invocations"], variables))
        deadline = time.monotonic() + step.get("within_ms", 5000) / 1000
        while len(rig.host.journal) - consumed < max(len(wanted), 1) and time.monotonic() < deadline:
            time.sleep(0.01)
        if wanted:
            time.sleep(0.05)
        got = rig.host.journal[consumed:]
        problems, left = [], list(got)
        for want in wanted:
            if step.get("ordered"):
                found = left[0] if left and not differences(want, left[0], "", True) else None
            else:
                found = next((g for g in left if not differences(want, g, "", True)), None)
            if found is None:
                problems.append(f"no invocation like {short(want)}")
            else:
                left.remove(found)
        problems += [f"unexpected invocation {short(g)}" for g in left]
        return problems, consumed + len(got)


def substitute_safe(value, variables):
    try:
        return substitute(value, variables)
    except KeyError:
        return value


def over_minutes(count):
    """Sleep until 1.5 s after the count-th minute boundary from now."""
    now = time.time()
    time.sleep((int(now // 60) + count) * 60 + 1.5 - now)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workflow-command", required=True)
    parser.add_argument("--store-command", required=True)
    parser.add_argument("--proto-path", required=True, type=Path)
    parser.add_argument("--workflow-config", help="JSON, merged under the file's own; default {}")
    parser.add_argument("--store-config", help='JSON, "%%s" = scratch directory; default a SQLite file in it')
    parser.add_argument("--as", dest="as_", choices=("project", "reference"), default="project",
                        help="project: steps with a deviation expect what the design decides; reference: what was recorded")
    parser.add_argument("--messages", choices=("exact", "ignore"), default="exact", help="compare error texts?")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("files", nargs="+", metavar="FILE")
    args = parser.parse_args(argv)
    replay = Replay(args, Contract(args.proto_path.resolve()))
    broken = False
    for path in args.files:
        try:
            replay.file(path)
        except (RuntimeError, OSError, grpc.RpcError, grpc.FutureTimeoutError) as e:
            print(f"--- {path}: {e}")
            broken = True
    if replay.skipped:
        print(f"{replay.skipped} steps not compared (they belong to the other side of a design decision)")
    print(f"{replay.agree} of {replay.total} steps agree")
    if broken or replay.agree != replay.total:
        return 1
    return 0 if replay.total else 2


if __name__ == "__main__":
    sys.exit(main())
