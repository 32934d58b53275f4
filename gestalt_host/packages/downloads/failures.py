"""Why a request got no answer: in words for the operator, and whether the same request may succeed later."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from gestalt_host.packages.errors import PackageInvalid

REASON = "its source cannot be fetched"


class FetchFailed(PackageInvalid):
    """Something could not be fetched; the text names the URL without secrets, why, and what to do.

    Attributes:
        status: What the server answered, 0 where it gave no answer.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text, REASON)
        self.status = status


class MayPass(Exception):
    """An attempt failed in a way that the next one may not.

    Attributes:
        wait_s: How long the server asks to wait at least.
        network: Nothing listens, or the name is not known: this passes where machines are started together, and for a
            person who has mistyped a name it does not.
    """

    def __init__(self, text: str, *, status: int = 0, wait_s: float = 0, network: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.wait_s = wait_s
        self.network = network


def judged(error: BaseException) -> MayPass | FetchFailed:
    """Return what an error of the HTTP client means; its texts name no URL."""
    import httpx

    if (found := judged_connection(error)) is not None:
        return found
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return MayPass("no connection in time")
    if isinstance(error, httpx.TimeoutException):
        return MayPass("the server has sent nothing for too long")
    if isinstance(error, httpx.ProxyError) and str(error).startswith("4"):
        return FetchFailed(f"the proxy refuses it: {error}; check the proxy variable, and name and password in it")
    return MayPass(f"the connection broke: {str(error) or type(error).__name__}")


def judged_connection(error: BaseException) -> MayPass | FetchFailed | None:
    """Return why no connection came about: name, port or certificate; None where it is none of these."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return MayPass(f"the name of the host is not known: {cause.strerror or cause}", network=True)
        if isinstance(cause, ConnectionRefusedError):
            return MayPass("the connection is refused: nothing listens there", network=True)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FetchFailed(
                f"the certificate of the server is not trusted: {cause.verify_message}; "
                "SSL_CERT_FILE may name another file of certificate authorities"
            )
        if isinstance(cause, ssl.SSLError):
            return FetchFailed(f"the server does not speak TLS as it should: {cause.reason or cause}")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, what it was raised from, and the members of groups among them."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        pending += [one.__context__, one.__cause__]
        if isinstance(one, BaseExceptionGroup):
            pending += one.exceptions
