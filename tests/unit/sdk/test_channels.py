"""Channels to relayed services: the token travels with every call, TLS trusts the host's CA (contract.md 2.5, 2.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gestalt_sdk.gen.v1 import datastore_pb2, datastore_pb2_grpc
from gestalt_sdk.indexeddb import IndexedDB, StoreUnavailable, Write
from gestalt_sdk.transport.channels import SERVER_OPTIONS, open_channel
from gestalt_sdk.transport.environment import Address, EnvironmentUnusable, parse_address
from tests.support.fakes.store_engine import register_memory_store
from tests.support.waiting import taking


class Guard(grpc.aio.ServerInterceptor):
    """Notes the token of each call."""

    def __init__(self) -> None:
        self.tokens: list[tuple[str, Any]] = []

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        metadata = dict(details.invocation_metadata)
        name = details.method.rpartition("/")[2]
        self.tokens.append((name, metadata.get("x-gestalt-host-service-relay-token")))
        return await continuation(details)


async def test_the_relay_token_travels_with_calls_and_streams(tmp_path: Path) -> None:
    guard = Guard()
    server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=[guard])
    register_memory_store(server)
    server.add_insecure_port(f"unix:{tmp_path / 's'}")
    await server.start()
    async with IndexedDB.connect(Address(f"unix:{tmp_path / 's'}", token="secret")) as db:
        await db.create_object_store("items")
        async with db.transaction(["items"], "readwrite") as tx:
            tx.store("items").put({"id": "a"})
            assert await tx.store("items").count() == 1
        async with db.store("items").cursor() as cursor:
            assert [entry.primary_key async for entry in cursor] == ["a"]
        await db.apply([Write("items", "put", {"id": "b"})])
        assert await db.store("items").count() == 2
    await server.stop(0)
    assert {name for name, _ in guard.tokens} == {"CreateObjectStore", "Transaction", "OpenCursor", "Apply", "Count"}
    assert {token for _, token in guard.tokens} == {"secret"}


async def test_a_server_that_takes_long_to_greet_is_waited_for(tmp_path: Path) -> None:
    """On a busy machine a process accepts at once and sends its first bytes seconds later."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    register_memory_store(server)
    server.add_insecure_port(f"unix:{tmp_path / 'fast'}")
    await server.start()
    dialled = 0
    copies: list[asyncio.Task[None]] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:
            writer.close()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dialled
        dialled += 1
        await taking(1.5)
        back, forth = await asyncio.open_unix_connection(tmp_path / "fast")
        copies.extend([asyncio.create_task(copy(reader, forth)), asyncio.create_task(copy(back, writer))])

    async with await asyncio.start_unix_server(late, tmp_path / "late"):
        channel = open_channel(Address(f"unix:{tmp_path / 'late'}"))
        request = datastore_pb2.CreateObjectStoreRequest(name="items")
        await datastore_pb2_grpc.IndexedDBStub(channel).CreateObjectStore(request, timeout=30)
        await channel.close()
        for task in copies:
            task.cancel()
        await asyncio.gather(*copies, return_exceptions=True)
    await server.stop(0)
    assert dialled == 1


async def test_tls_trusts_the_hosts_own_ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = certificate_for("localhost")
    server = grpc.aio.server(options=SERVER_OPTIONS)
    register_memory_store(server)
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, certificate)]))
    await server.start()
    address = parse_address(f"tls://localhost:{port}", variable="X")
    async with IndexedDB.connect(address, timeout_s=5) as stranger:
        with pytest.raises(StoreUnavailable):
            await stranger.create_object_store("items")
    (tmp_path / "ca.pem").write_bytes(certificate)
    monkeypatch.setenv("GESTALT_HOST_SERVICE_TLS_CA_FILE", str(tmp_path / "ca.pem"))
    async with IndexedDB.connect(address, timeout_s=5) as db:
        await db.create_object_store("items")
    monkeypatch.setenv("GESTALT_HOST_SERVICE_TLS_CA_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(EnvironmentUnusable, match=r"CA_FILE is .*gone\.pem"):
        IndexedDB.connect(address)
    monkeypatch.setenv("GESTALT_HOST_SERVICE_TLS_CA_PEM", certificate.decode())
    async with IndexedDB.connect(address, timeout_s=5) as db:
        await db.create_object_store("items")
    await server.stop(0)


def certificate_for(name: str) -> tuple[bytes, bytes]:
    """A fresh key and its self-signed certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)
