#!/usr/bin/env python3
"""Replay recorded IndexedDB conversations against a provider and report every difference.

    replay_store.py --proto-path DIR --command "CMD" [--config JSON] FILE...
    replay_store.py --proto-path DIR --socket PATH FILE...

With --command each FILE gets a fresh process, started the way the host starts a provider (bare environment, socket path,
parent pid, identity, configure, identity), and a fresh directory; "{dir}" inside --config is replaced by it.
With --socket a configured provider with an empty database is expected to listen already; steps that restart the process
and files that need an unconfigured one are skipped.

A step marked "deviation" is compared with its "expect"; --as-recorded compares it with the recorded answer instead.
The format of the files is described in ../recordings/store/README.md. Exit status: 0 all agree, 1 some differ, 2 unusable.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shlex
import shutil
import signal
import socket as sockets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc  # noqa: E402
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory  # noqa: E402

PACKAGE = "gestalt.provider.v1"
DEFAULT_CONFIG = '{"dsn": "sqlite://{dir}/store.db"}'
PROTOCOL_VERSION = 3
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
             ("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)]


class Unusable(Exception):
    """The replay cannot start: bad arguments, protos that do not compile, a provider that does not serve."""


# ---------------------------------------------------------------------------------------------------------- contract

class Contract:
    """Message classes and methods of the package, compiled from a .proto tree into a private descriptor pool."""

    def __init__(self, root: Path) -> None:
        self.pool = compile_protos(root)

    def method(self, rpc: str):
        service_name, _, method_name = rpc.partition("/")
        service = self.pool.FindServiceByName(f"{PACKAGE}.{service_name}")
        method = service.methods_by_name[method_name]
        return (message_factory.GetMessageClass(method.input_type), message_factory.GetMessageClass(method.output_type),
                bool(method.client_streaming))

    def to_json(self, message) -> object:
        return json_format.MessageToDict(message, descriptor_pool=self.pool)

    def from_json(self, cls, value):
        return json_format.ParseDict(value, cls(), descriptor_pool=self.pool)


def compile_protos(root: Path) -> descriptor_pool.DescriptorPool:
    from grpc_tools import protoc

    files = [path for path in sorted(root.rglob("*.proto"))
             if re.search(rf"^\s*package\s+{re.escape(PACKAGE)}\s*;", path.read_text(), re.M)]
    if not files:
        raise Unusable(f"no .proto file of package {PACKAGE} under {root}")
    site = [Path(protoc.__file__).parent / "_proto"]
    site += [Path(entry) for entry in sys.path if entry and (Path(entry) / "google/rpc/status.proto").is_file()]
    roots = import_roots(root, files)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set.pb"
        arguments = ["protoc", *[f"-I{entry}" for entry in [*roots, *site]], "--include_imports",
                     f"--descriptor_set_out={out}", *[str(path) for path in files]]
        if protoc.main(arguments) != 0:
            raise Unusable("the .proto files do not compile")
        described = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in described.file:
        pool.Add(file)
    return pool


def import_roots(root: Path, files: list[Path]) -> list[Path]:
    """Directories from which the files' own import statements resolve, the given root last unless it is one."""
    roots: list[Path] = []
    everything = [path for path in root.rglob("*.proto")]
    for file in files:
        for wanted in re.findall(r'^\s*import\s+(?:public\s+)?"([^"]+)"', file.read_text(), re.M):
            for path in everything:
                if path.as_posix().endswith("/" + wanted):
                    found = Path(path.as_posix()[: -len(wanted) - 1])
                    if found not in roots:
                        roots.append(found)
    return roots if root in roots else [*roots, root]


# ---------------------------------------------------------------------------------------------------------- provider

class Provider:
    """A provider under test: a socket, and the process behind it when we started it."""

    def __init__(self, contract: Contract, socket: str) -> None:
        self.contract = contract
        self.socket = socket
        self.channel: grpc.Channel | None = None

    restartable = False

    def connect(self, timeout: float = 45) -> None:
        self.channel = grpc.insecure_channel(f"unix:{self.socket}", options=UNLIMITED)
        try:
            grpc.channel_ready_future(self.channel).result(timeout=timeout)
        except grpc.FutureTimeoutError:
            raise Unusable(f"no gRPC server answers on {self.socket}") from None

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None


def accepts(path: str) -> bool:
    """Whether somebody listens there; a stale socket file does not."""
    with sockets.socket(sockets.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


class OwnProvider(Provider):
    """Started here, as the host does: bare environment, direct child, own directory."""

    restartable = True

    def __init__(self, contract: Contract, command: str, config: dict) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="gstp-"))
        super().__init__(contract, str(self.dir / "plugin.sock"))
        self.command = shlex.split(command)
        self.config = json.loads(json.dumps(config).replace("{dir}", str(self.dir)))
        self.process: subprocess.Popen | None = None
        self.log = open(self.dir / "provider.log", "ab")

    def start(self, configure: bool) -> None:
        inherited = ("PATH", "HOME", "TMPDIR", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
        environment = {name: os.environ[name] for name in inherited if name in os.environ}
        environment |= {"GESTALT_PLUGIN_SOCKET": self.socket, "GESTALT_PLUGIN_PARENT_PID": str(os.getpid()),
                        "GESTALT_PLUGIN_NAME": "store"}
        self.process = subprocess.Popen(self.command, env=environment, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        deadline = time.monotonic() + 45
        while not accepts(self.socket):
            if self.process.poll() is not None:
                raise Unusable(f"the provider ended with {self.process.returncode} before serving:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise Unusable(f"the provider does not listen after 45 s:\n{self.log_tail()}")
            time.sleep(0.025)
        self.connect()
        if configure:
            for rpc, request in (("GetProviderIdentity", {}), ("ConfigureProvider", self.configure_request()),
                                 ("GetProviderIdentity", {})):
                answer = run_unary(self, {"rpc": f"ProviderLifecycle/{rpc}", "request": request})
                if "error" in answer:
                    raise Unusable(f"{rpc} failed: {answer['error']}")

    def log_tail(self) -> str:
        return Path(self.log.name).read_text(errors="replace")[-2000:]

    def configure_request(self) -> dict:
        return {"name": "store", "config": self.config, "protocolVersion": PROTOCOL_VERSION}

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if how != signal.SIGKILL:  # a shutdown closes the channel first; a crash does not
            self.close()
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self.process.kill()
        status = self.process.wait()
        self.close()
        return status

    def dispose(self) -> None:
        if self.process is not None:
            self.stop()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


# -------------------------------------------------------------------------------------------------------------- steps

def expand(value, config: dict | None):
    """Fill placeholders: "$CONFIG" is the provider's configuration, {"$repeat": [text, n]} a long string."""
    if isinstance(value, str) and value == "$CONFIG":
        return config
    if isinstance(value, list):
        return [expand(item, config) for item in value]
    if isinstance(value, dict):
        if set(value) == {"$repeat"}:
            text, count = value["$repeat"]
            return text * count
        return {key: expand(item, config) for key, item in value.items()}
    return value


def shrink(value):
    """The inverse of expand for long strings of one character, so that answers stay short."""
    if isinstance(value, str) and len(value) > 4096 and value == value[0] * len(value):
        return {"$repeat": [value[0], len(value)]}
    if isinstance(value, list):
        return [shrink(item) for item in value]
    if isinstance(value, dict):
        return {key: shrink(item) for key, item in value.items()}
    return value


def failure(error: grpc.RpcError) -> dict:
    return {"code": error.code().name, "message": error.details() or ""}


def run_unary(provider: Provider, step: dict, timeout: float = 60) -> dict:
    request_class, response_class, _ = provider.contract.method(step["rpc"])
    if "request_b64" in step:
        payload = base64.b64decode(step["request_b64"])
    else:
        config = getattr(provider, "config", None)
        payload = provider.contract.from_json(request_class, expand(step.get("request", {}), config)).SerializeToString()
    call = provider.channel.unary_unary(f"/{PACKAGE}.{step['rpc']}", request_serializer=bytes,
                                        response_deserializer=response_class.FromString)
    try:
        return {"response": shrink(provider.contract.to_json(call(payload, timeout=timeout)))}
    except grpc.RpcError as error:
        return {"error": failure(error)}


class Stream:
    """One open bidirectional call, driven frame by frame."""

    def __init__(self, provider: Provider, rpc: str, timeout: float = 60) -> None:
        self.contract = provider.contract
        self.request_class, response_class, _ = provider.contract.method(rpc)
        self.outbox: list = []
        self.ready = threading.Condition()
        self.ended: dict | None = None
        call = provider.channel.stream_stream(f"/{PACKAGE}.{rpc}", request_serializer=bytes,
                                              response_deserializer=response_class.FromString)
        self.call = call(self._frames(), timeout=timeout)

    def _frames(self):
        while True:
            with self.ready:
                while not self.outbox:
                    self.ready.wait()
                frame = self.outbox.pop(0)
            if frame is None:
                return
            yield frame

    def _push(self, frame) -> None:
        with self.ready:
            self.outbox.append(frame)
            self.ready.notify()

    def receive(self) -> object | None:
        """The next frame, or None once the stream has ended (its status is then in self.ended)."""
        if self.ended is not None:
            return None
        try:
            return shrink(self.contract.to_json(next(self.call)))
        except StopIteration:
            self.ended = {"code": "OK"}
        except grpc.RpcError as error:
            self.ended = failure(error)
        self._push(None)
        return None

    def send(self, frame: dict) -> None:
        if "$b64" in frame:
            payload = base64.b64decode(frame["$b64"])
        else:
            payload = self.contract.from_json(self.request_class, expand(frame, None)).SerializeToString()
        self._push(payload)

    def half_close(self) -> None:
        self._push(None)

    def cancel(self) -> None:
        self._push(None)
        self.call.cancel()


def run_stream(provider: Provider, step: dict, streams: dict[str, Stream]) -> dict:
    """Send the frames one at a time, awaiting one answer after each; then half-close and drain, cancel, or keep open.

    "stream": NAME keeps the call for later steps until one of them has "half_close" or "cancel". A frame
    {"$receive": n} only waits for n more answers; {"$send": frame} does not wait for one. Nor is an answer awaited
    once the server has sent `abort`: it discards what follows.
    """
    name = step.get("stream")
    stream = streams.get(name) if name else None
    if stream is None:
        stream = Stream(provider, step["rpc"])
        if name:
            streams[name] = stream
    out: list = []
    for frame in step.get("frames", []):
        wanted = 0 if out and "abort" in out[-1] else 1
        if "$receive" in frame:
            wanted = frame["$receive"]
        elif "$send" in frame:
            wanted = 0
            stream.send(frame["$send"])
        else:
            stream.send(frame)
        for _ in range(wanted):
            answer = stream.receive()
            if answer is None:
                break
            out.append(answer)
        if stream.ended is not None:
            break
    result: dict = {"frames_out": out}
    if stream.ended is None and step.get("half_close"):
        stream.half_close()
        while (answer := stream.receive()) is not None:
            out.append(answer)
    elif stream.ended is None and (step.get("cancel") or not name):
        stream.cancel()
        time.sleep(0.1)  # the server learns of it a moment later
        result["canceled"] = True
    if stream.ended is not None:
        if stream.ended["code"] == "OK":
            result["ended"] = "OK"
        else:
            result["error"] = stream.ended
    if name and (stream.ended is not None or result.get("canceled")):
        streams.pop(name, None)
    return result


def run_restart(provider: OwnProvider, step: dict, streams: dict[str, Stream]) -> dict:
    how = signal.Signals[step.get("signal", "SIGTERM")]
    status = provider.stop(how)
    for stream in streams.values():
        stream.cancel()
    streams.clear()
    result = {"exit": status if status >= 0 else signal.Signals(-status).name,
              "socket_left": os.path.exists(provider.socket)}
    if how == signal.SIGKILL:
        result.pop("socket_left")
    provider.start(configure=step.get("configure", True))
    return {"response": result}


def run_step(provider: Provider, step: dict, streams: dict[str, Stream]) -> dict | None:
    """Perform one step; None when this provider cannot (a restart of a process that is not ours)."""
    if step.get("restart"):
        if provider.restartable:
            return run_restart(provider, step, streams)
        for stream in streams.values():  # what the restart would have ended
            stream.cancel()
        time.sleep(0.1 if streams else 0)
        streams.clear()
        return None
    if step.get("rpc") == "raw":
        call = provider.channel.unary_unary(step["path"], request_serializer=bytes, response_deserializer=bytes)
        try:
            return {"response": {"bytes": len(call(b"", timeout=30))}}
        except grpc.RpcError as error:
            return {"error": failure(error)}
    if provider.contract.method(step["rpc"])[2]:
        return run_stream(provider, step, streams)
    return run_unary(provider, step)


# --------------------------------------------------------------------------------------------------------- comparison

ANSWER_KEYS = ("response", "error", "frames_out", "ended", "canceled")


def answer_of(step: dict) -> dict:
    return {key: step[key] for key in ANSWER_KEYS if key in step}


def alternatives(step: dict, as_recorded: bool) -> list[dict]:
    if "deviation" not in step or as_recorded:
        return [answer_of(step)]
    expect = step.get("expect", [])
    return list(expect) if isinstance(expect, list) else [expect]


def strip_messages(value):
    """Drop the message of every status (unary error, stream status, error member of a frame)."""
    if isinstance(value, list):
        return [strip_messages(item) for item in value]
    if isinstance(value, dict):
        out = {}
        for key, item in value.items():
            if key == "error" and isinstance(item, dict):
                out[key] = {"code": item.get("code", 0)}
            elif key in ("record", "records", "fields"):
                out[key] = item
            else:
                out[key] = strip_messages(item)
        return out
    return value


def canonical(value) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def same(want: dict, got: dict, message_matters: bool) -> bool:
    if not message_matters:
        want, got = strip_messages(want), strip_messages(got)
    if "error" in want and "error" in got and isinstance(want["error"].get("code"), list):
        if got["error"]["code"] in want["error"]["code"]:
            got = {**got, "error": {**got["error"], "code": want["error"]["code"]}}
    return canonical(want) == canonical(got)


def first_difference(want, got, path: str = "") -> str:
    if isinstance(want, dict) and isinstance(got, dict):
        for key in sorted(set(want) | set(got)):
            if canonical(want.get(key)) != canonical(got.get(key)):
                return first_difference(want.get(key), got.get(key), f"{path}.{key}" if path else key)
    if isinstance(want, list) and isinstance(got, list):
        for index in range(max(len(want), len(got))):
            left = want[index] if index < len(want) else None
            right = got[index] if index < len(got) else None
            if canonical(left) != canonical(right):
                return first_difference(left, right, f"{path}[{index}]")
    return f"at {path or 'the top'}: want {clip(canonical(want))}, got {clip(canonical(got))}"


def clip(text: str, limit: int = 600) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def block(file: Path, number: int, step: dict, wanted: list[dict], got: dict) -> str:
    asked = step.get("frames") if "frames" in step else step.get("request", step.get("request_b64", ""))
    lines = [f"--- {file.name}:{number} {step['name']}", f"    {step.get('rpc', 'restart')} {clip(canonical(asked))}"]
    for want in wanted:
        plain = step.get("message_matters", False)
        left, right = (want, got) if plain else (strip_messages(want), strip_messages(got))
        lines.append(f"    {first_difference(left, right)}")
    lines.append(f"    got {clip(canonical(got))}")
    if "deviation" in step:
        lines.append(f"    deviation: {step['deviation']}")
    return "\n".join(lines)


# --------------------------------------------------------------------------------------------------------------- main

def load(file: Path) -> tuple[dict, list[tuple[int, dict]]]:
    header: dict = {}
    steps: list[tuple[int, dict]] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        entry = json.loads(line)
        if "file" in entry:
            header = entry["file"]
        else:
            steps.append((number, entry))
    return header, steps


def replay(provider: Provider, file: Path, steps: list[tuple[int, dict]], as_recorded: bool) -> tuple[int, int, int]:
    agreed = differed = skipped = 0
    streams: dict[str, Stream] = {}
    for number, step in steps:
        got = run_step(provider, step, streams)
        if got is None:
            skipped += 1
            continue
        wanted = alternatives(step, as_recorded)
        if not wanted or any(same(want, got, step.get("message_matters", False)) for want in wanted):
            agreed += 1
        else:
            differed += 1
            print(block(file, number, step, wanted, got), flush=True)
    for stream in streams.values():
        stream.cancel()
    return agreed, differed, skipped


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--proto-path", type=Path, required=True, help="directory with the .proto tree")
    parser.add_argument("--socket", help="unix socket of a configured provider with an empty database")
    parser.add_argument("--command", help="command line that starts the provider")
    parser.add_argument("--config", default=DEFAULT_CONFIG, help=f"provider configuration (default {DEFAULT_CONFIG})")
    parser.add_argument("--as-recorded", action="store_true", help="ignore deviations: expect the recorded answers")
    options = parser.parse_args()
    if bool(options.socket) == bool(options.command):
        parser.error("give either --socket or --command")
    agreed = differed = skipped = 0
    try:
        contract = Contract(options.proto_path)
        shared = None
        if options.socket:
            shared = Provider(contract, options.socket)
            shared.connect()
        for file in options.files:
            header, steps = load(file)
            if shared is not None:
                if not header.get("configure", True):
                    skipped += len(steps)
                    continue
                counts = replay(shared, file, steps, options.as_recorded)
            else:
                provider = OwnProvider(contract, options.command, json.loads(options.config))
                try:
                    provider.start(configure=header.get("configure", True))
                    counts = replay(provider, file, steps, options.as_recorded)
                finally:
                    provider.dispose()
            agreed, differed, skipped = agreed + counts[0], differed + counts[1], skipped + counts[2]
        if shared is not None:
            shared.close()
    except Unusable as error:
        print(f"replay_store: {error}", file=sys.stderr)
        return 2
    print(f"{agreed} of {agreed + differed} steps agree" + (f" ({skipped} skipped)" if skipped else ""))
    return 1 if differed else 0


if __name__ == "__main__":
    sys.exit(main())
