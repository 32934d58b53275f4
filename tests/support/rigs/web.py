"""Web servers on this machine that tests fetch from: they answer as they are told to, and note what they were asked."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; names of headers in lower case."""

    path: str
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: bytes = b""

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


class Request(BaseHTTPRequestHandler):
    """What an answer is written to."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.server.web.asked.append(Asked(self.path, headers, self.command, body))
        with suppress(OSError):
            self.server.web.answer_of(self.path)(self)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def send(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        """Send a whole answer; ``content_encoding="gzip"`` is the header Content-Encoding."""
        self.send_head(status, content_length=str(len(body)), **headers)
        if status not in (204, 304):
            self.wfile.write(body)

    def send_head(self, status: int = 200, **headers: str) -> None:
        """Send status and headers alone."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-").title(), value)
        self.end_headers()

    def send_raw(self, data: bytes) -> None:
        """Send these bytes in place of an answer, and end the connection."""
        self.wfile.write(data)
        self.close_connection = True

    def break_off(self) -> None:
        """End the connection after what has been sent."""
        self.close_connection = True

    def hang(self) -> None:
        """Send nothing more until the server is closed."""
        self.server.web.closing.wait()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


Answer = Callable[[Request], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    web: Web

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that have gone."""


class Web:
    """One server. ``answers`` has an answer by path without query; what is in none of them is 404."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), Request)
        self._server.web = self
        self._scheme = "http"
        if certificate is not None:
            self._scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the URL of a path."""
        return f"{self._scheme}://{host}:{self.port}{path}"

    def put(self, path: str, body: bytes | str = b"", status: int = 200, **headers: str) -> None:
        """Answer a path with this from now on."""
        data = body.encode() if isinstance(body, str) else body
        self.answers[path] = lambda request: request.send(data, status, **headers)

    def redirect(self, path: str, target: str, status: int = 302) -> None:
        """Answer a path with a redirect."""
        self.put(path, status=status, location=target)

    def in_turn(self, path: str, *answers: Answer) -> None:
        """Answer the requests for a path one after the other; the last answer is repeated."""
        left = list(answers)
        self.answers[path] = lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)

    def answer_of(self, path: str) -> Answer:
        return self.answers.get(path.partition("?")[0], lambda request: request.send(b"not here", 404))

    def paths(self) -> list[str]:
        """Return what was asked for, in order."""
        return [asked.path for asked in self.asked]

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Web]:
    """Serve until the end of the block.

    Args:
        certificate: A PEM file with certificate and key: the server speaks TLS.
    """
    web = Web(certificate)
    try:
        yield web
    finally:
        web.close()


@pytest.fixture
def web() -> Iterator[Web]:
    """A server."""
    with serving() as one:
        yield one


@pytest.fixture
def other() -> Iterator[Web]:
    """Another one, on another port."""
    with serving() as one:
        yield one


def write_certificate(path: Path, *names: str) -> None:
    """Write a key and a certificate that has signed itself, for those names; for 127.0.0.1 without any."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    whom: list[x509.GeneralName] = [x509.DNSName(each) for each in names] or [x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(whom), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
