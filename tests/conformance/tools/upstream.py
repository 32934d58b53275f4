"""A scripted HTTP service that the REST plugins of recordings/http/rest call.  Standard library, Python 3.11 or later.

    upstream.py PORT

Listens on 127.0.0.1 (in answers: `main`) and 127.0.0.2 (`other`), same port.  recordings/http/rest/README.md describes it.
The only state are the counters of /count and /hits.
"""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

HOSTS = {"127.0.0.1": "main", "127.0.0.2": "other"}
# of the client's own making, so not shown; Accept and User-Agent are shown if a manifest set them
OWN = {"host", "accept-encoding", "connection", "content-length", "transfer-encoding", "referer", "traceparent", "tracestate"}
LATIN = {"content-type": "text/plain; charset=iso-8859-1"}
TEXT = {"content-type": "text/plain; charset=utf-8"}
COUNTS: dict[str, int] = {}
LOCK = threading.Lock()


def count(name: str) -> int:
    with LOCK:
        COUNTS[name] = COUNTS.get(name, 0) + 1
        return COUNTS[name]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "upstream", ""

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes | object = b"", headers: dict[str, str] | None = None) -> None:
        headers = dict(headers or {})
        if not isinstance(body, bytes):
            body = json.dumps(body, sort_keys=True).encode()
            headers.setdefault("content-type", "application/json")
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if status not in (204, 304):
            self.wfile.write(body)

    def seen(self) -> dict[str, object]:
        """The request as this service saw it."""
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            name = name.lower()
            if name in OWN or (name == "accept" and value == "*/*") or (name == "user-agent" and not value.startswith("rig")):
                continue
            headers[name] = f"{headers[name]} | {value}" if name in headers else value
        path, _, query = self.path.partition("?")
        pairs = sorted(parse_qsl(query, keep_blank_values=True), key=lambda pair: pair[0])
        shown: dict[str, object] = {"host": HOSTS[self.server.server_address[0]], "method": self.command, "path": path}
        shown |= {"query": [list(pair) for pair in pairs], "headers": headers}
        if self.body:
            try:
                shown["json"] = json.loads(self.body)
            except ValueError:
                shown["body"] = self.body.decode("utf-8", "replace")
        return shown

    def raw(self, data: bytes) -> None:
        """These bytes instead of an answer, then the end of the connection."""
        self.wfile.write(data)
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def do(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        parts = [part for part in path.split("/") if part]
        while parts and parts[0] in ("base", "moved", "v1", "north", "south"):  # prefixes of base URLs
            parts.pop(0)
        kind, rest = (parts[0], parts[1:]) if parts else ("echo", [])
        try:
            getattr(self, f"on_{kind.replace('-', '_')}", self.on_unknown)(*rest)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do

    def on_unknown(self, *_: str) -> None:
        self.answer(404, {"error": "no such page", "path": self.path.partition("?")[0]})

    def on_echo(self, *_: str) -> None:
        self.answer(200, self.seen())

    def on_target(self, *_: str) -> None:  # the request line and the body, as they are
        self.answer(200, {"target": self.path, "body": self.body.decode("utf-8", "replace")})

    def on_size(self, *_: str) -> None:
        self.answer(200, {"bytes": len(self.body)})

    def on_status(self, code: str, *_: str) -> None:
        extra = {"401": {"www-authenticate": "Bearer"}, "429": {"retry-after": "1"}, "503": {"retry-after": "1"}}.get(code, {})
        self.answer(int(code), {"status": int(code), "method": self.command}, extra)

    def on_error(self, kind: str, *_: str) -> None:
        match kind:
            case "text":
                self.answer(400, b"bad in words\n", TEXT)
            case "empty":
                self.answer(500)
            case "html":
                self.answer(502, b"<h1>Bad Gateway</h1>", {"content-type": "text/html"})
            case "login":
                self.answer(401, b"who are you", TEXT)
            case _:
                self.answer(418, b'{"teapot": true}', {"content-type": "application/problem+json", "x-reason": "short and stout"})

    def on_count(self, name: str, code: str) -> None:  # how often, with that status
        self.answer(int(code), {"hits": count(name) if name != "none" else 0}, {"retry-after": "1"})

    def on_hits(self, name: str) -> None:  # how often since the last time this was asked
        with LOCK:
            self.answer(200, {"hits": COUNTS.pop(name, 0)})

    def on_text(self) -> None:
        self.answer(200, "plain text, é and ☃\n".encode(), TEXT)

    def on_latin(self) -> None:
        self.answer(200, b"caf\xe9", LATIN)

    def on_html(self) -> None:
        self.answer(200, b"<p>hi</p>", {"content-type": "text/html; charset=utf-8"})

    def on_binary(self) -> None:
        self.answer(200, bytes(range(256)), {"content-type": "application/octet-stream"})

    def on_empty(self) -> None:
        self.answer(200)

    def on_no_type(self) -> None:
        self.answer(200, b"no content type")

    def on_bad_json(self) -> None:
        self.answer(200, b'{"a": ', {"content-type": "application/json"})

    def on_spaced_json(self) -> None:
        self.answer(200, b' {"b": 1,\n "a": 1.0, "big": 12345678901234567890}\n', {"content-type": "application/json"})

    def on_bom(self) -> None:
        self.answer(200, b'\xef\xbb\xbf{"a": 1}', {"content-type": "application/json"})

    def on_headers(self) -> None:
        headers = {"content-type": "application/vnd.rig+json; v=2", "x-custom": "1", "set-cookie": "a=b", "cache-control": "max-age=60"}
        self.answer(200, b"{}", headers | {"etag": '"x"', "location": "/elsewhere", "www-authenticate": "Basic"})

    def on_gzip(self) -> None:
        body = b'{"packed": true}'
        if "gzip" in self.headers.get("accept-encoding", ""):
            return self.answer(200, gzip.compress(body), {"content-type": "application/json", "content-encoding": "gzip"})
        self.answer(200, body, {"content-type": "application/json"})

    def on_chunked(self) -> None:
        self.send_response_only(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in (b'{"pieces": ', b"[1,", b"2]}"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def on_redirect(self, code: str, kind: str) -> None:
        port = self.server.server_address[1]
        location = {
            "same": f"http://127.0.0.1:{port}/echo/arrived?via={code}",
            "relative": "../../echo/arrived",
            "other": f"http://127.0.0.2:{port}/echo/arrived?via={code}",
            "loop": self.path,
            "gone": "/status/404",
            "refused": "/status/401",
            "scheme": "ftp://127.0.0.1/x",
        }.get(kind)
        self.answer(int(code), b"moved", TEXT | ({"location": location} if location else {}))

    def on_chain(self, left: str) -> None:  # that many redirects, then an echo
        self.answer(302, b"", {"location": f"/chain/{int(left) - 1}" if int(left) > 1 else "/echo/end"})

    def on_slow(self, milliseconds: str) -> None:
        time.sleep(int(milliseconds) / 1000)
        self.answer(200, {"slept": int(milliseconds)})

    def on_drip(self, milliseconds: str) -> None:  # ten bytes in so many milliseconds
        self.send_response_only(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", "10")
        self.end_headers()
        for digit in range(10):
            self.wfile.write(b"%d" % digit)
            self.wfile.flush()
            time.sleep(int(milliseconds) / 10000)

    def on_cut(self, kind: str) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        match kind:
            case "before":
                self.raw(b"")
            case "head":
                self.raw(b"HTTP/1.1 200 OK\r\nContent-Ty")
            case "length":
                self.raw(head + b"Content-Length: 100\r\n\r\nonly this")
            case "chunk":
                self.raw(head + b"Transfer-Encoding: chunked\r\n\r\nff\r\nonly this")
            case "error":
                self.raw(head.replace(b"200 OK", b"500 No") + b"Content-Length: 100\r\n\r\nonly this")
            case "close":  # no length: the end of the connection is the end of the body
                self.raw(head + b"Connection: close\r\n\r\nuntil the end")
            case _:
                self.raw(b"220 mail ready\r\n")

    def on_large(self, size: str) -> None:  # `begin`, blanks, `end`
        self.answer(200, b"begin" + b" " * (int(size) - 8) + b"end", TEXT)

    def on_pages(self) -> None:
        """Nine items; by cursor (`cursor`, `limit`), three pages of three."""
        query = dict(parse_qsl(self.path.partition("?")[2]))
        start, limit = int(query.get("cursor") or query.get("offset") or 0), int(query.get("limit") or 3)
        body: dict[str, object] = {"items": list(range(9))[start : start + limit], "more": start + limit < 9}
        self.answer(200, body | ({"next": str(start + limit)} if start + limit < 9 else {}))


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    servers = [Server((host, int(sys.argv[1])), Handler) for host in HOSTS]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()


if __name__ == "__main__":
    main()
