"""The floor that other figures are compared with: a unary grpc.aio echo over a unix socket, between two processes.

``python -m benchmarks.echo PATH`` serves it; ``calls_per_second`` measures it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import uvloop

METHOD = "/gestalt.benchmark.Echo/Say"
PAYLOAD = b"x" * 200
CLIENTS = 8
SECONDS = 3.0


async def serve(path: str) -> None:
    """Answer every call with its request until the process is ended."""

    async def say(request: bytes, context: object) -> bytes:
        return request

    server = grpc.aio.server()
    handlers = {"Say": grpc.unary_unary_rpc_method_handler(say)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("gestalt.benchmark.Echo", handlers),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    await server.wait_for_termination()


async def _measure(path: str, seconds: float) -> float:
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        await asyncio.wait_for(channel.channel_ready(), 20)
        call = channel.unary_unary(METHOD)
        begin = time.perf_counter()
        end = begin + seconds

        async def client() -> int:
            done = 0
            while time.perf_counter() < end:
                await call(PAYLOAD, timeout=10)
                done += 1
            return done

        done = sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))
        return done / (time.perf_counter() - begin)


def calls_per_second(seconds: float = SECONDS) -> float:
    """Calls a second with 8 clients in one process and the server in another."""
    with tempfile.TemporaryDirectory(prefix="gstb-") as folder:
        path = str(Path(folder) / "echo.sock")
        server = subprocess.Popen([sys.executable, "-m", "benchmarks.echo", path])
        try:
            return uvloop.run(_measure(path, seconds))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
