"""The HTTP client: requests to one server, and what its answers and failures mean."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson

from gestalt_host.cli.errors import ApiError, CliError, NoAnswer, Unreachable
from gestalt_host.cli.json_lists import JsonValue, NotAList, items_of
from gestalt_host.cli.urls import concealed, is_loopback_url

if TYPE_CHECKING:
    import httpx

REQUEST_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 30.0
AUTH_INFO_TIMEOUT_S = 5.0
_SHOWN_OF_BODY = 200
_SHOWN_OF_REQUEST_ID = 128
_SERVERS_BODY_LIMIT = 1 << 20
"""What servers take as a body, in bytes."""

_TOKEN_NAMES = {"env": "GESTALT_API_KEY", "file": "the stored CLI token"}
_HINTS = {
    "env": (
        " (using GESTALT_API_KEY from environment; unset it to use your stored CLI API token from 'gestalt auth login')"
    ),
    "file": " (stored CLI API token may be expired or revoked; run 'gestalt auth login' to mint a new one)",
}


def path_of(*segments: str) -> str:
    """Return ``/api/v1/…`` of the given segments, each percent-encoded as a whole; ``:`` stays, as in run ids."""
    return "/api/v1/" + "/".join(quote(segment, safe=":") for segment in segments)


class Received(NamedTuple):
    """An answer as it comes: names of headers are found in any letter case, the body in parts."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class Api:
    """One server, asked with one token (or none).

    Args:
        base_url: Normalised, possibly with a path.
        token_source: ``env``, ``file`` or empty; decides the hint that a 401 gets.
        timeout_s: How long an answer may take; infinite for no limit.
        transport: Replaces the network in tests.

    Raises:
        CliError: the token holds characters that cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        token: str = "",
        *,
        token_source: str = "",
        timeout_s: float = REQUEST_TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if bad := re.search(r"[^\x21-\x7e]", token):
            raise CliError(
                f"{_TOKEN_NAMES.get(token_source, 'the token')} was not sent: character {bad.start() + 1} of "
                f"{len(token)} is a blank, a line break or another one that no token has"
            )
        self.base_url = base_url
        self._token = token
        self._token_source = token_source
        self._timeout_s = timeout_s
        self._transport = transport

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        return self.request("GET", path, query=query)

    def post(self, path: str, body: Any) -> Any:
        return self.request("POST", path, body=body)

    def get_tagged(self, path: str) -> tuple[JsonValue, str]:
        """Return the answer's JSON and its ``ETag``, empty where the server sends none. Raises as ``request`` does."""
        with self._sent("GET", path, None, None) as received:
            return _json_of(received), received.headers.get("etag", "")

    def put(self, path: str, body: JsonValue, *, if_match: str = "") -> JsonValue:
        """Send the body and return the answer's JSON. Raises as ``request`` does.

        Args:
            if_match: ``ETag`` of what may be replaced: the server refuses to replace anything else. Empty: anything.
        """
        with self._sent("PUT", path, None, body, more={"If-Match": if_match} if if_match else {}) as received:
            return _json_of(received)

    def delete(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        return self.request("DELETE", path, query=query)

    def request(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None) -> Any:
        """Send one request and return the answer's JSON; 204 counts as ``{"status": "ok"}``, an empty body as ``{}``.

        Raises:
            ApiError: the server answered 4xx or 5xx.
            NoAnswer: none in time; whatever was asked for may go on.
            Unreachable: no connection.
            CliError: any other failure, or an answer that is not JSON.
        """
        with self._sent(method, path, query, body) as received:
            return _json_of(received)

    def items(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[JsonValue]:
        """Ask for a list and yield its items as they come; the server may be silent for the timeout within it.

        Raises:
            NotAList: the answer is something else.
            ApiError, Unreachable, CliError: as ``request`` does, here also after items.
        """
        with self._sent("GET", path, query, None, whole=False) as received:
            try:
                yield from items_of(received.chunks)
            except NotAList:
                raise
            except ValueError as error:
                raise _not_json(received, error) from error

    @contextmanager
    def _sent(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: JsonValue,
        *,
        more: Mapping[str, str] | None = None,
        whole: bool = True,
    ) -> Iterator[Received]:
        """Send one request, with ``more`` headers; yield its answer, whose status is below 400."""
        headers = {"Accept": "application/json", **(more or {})}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = _encoded(body)
        url = self._url(path, query)
        try:
            with exchange(
                method,
                url,
                headers=headers,
                content=content,
                timeout_s=self._timeout_s,
                transport=self._transport,
                whole=whole,
            ) as received:
                if received.status >= 400:
                    raise self._refused(received, len(content or b""))
                yield received
        except NoAnswer as error:
            raise NoAnswer(f"{error.message}; it may still be running. To wait longer: --timeout DURATION") from error
        except Unreachable as error:
            raise Unreachable(
                f"could not reach server at {concealed(self.base_url)}\n  Run 'gestalt auth status' for diagnostics."
            ) from error
        except BrokenOff as error:
            # A server that refuses a body while it comes may end the connection before its answer is read.
            if content is None or len(content) <= _SERVERS_BODY_LIMIT:
                raise
            raise CliError(
                f"{error.message}; the body of the request, {len(content)} bytes, is over the limit that servers have, "
                f"{_SERVERS_BODY_LIMIT} bytes"
            ) from error

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return f"{self.base_url}{path}" + (f"?{urlencode(query)}" if query else "")

    def _refused(self, received: Received, sent: int) -> ApiError:
        status = received.status
        text, code, plugin = error_of(status, b"".join(received.chunks))
        hint = _HINTS.get(self._token_source, "") if status == 401 else ""
        if status == 413 and str(sent) not in text:
            hint = f" (the body of this request has {sent} bytes)"
        request_id = received.headers.get("x-request-id", "")[:_SHOWN_OF_REQUEST_ID]
        return ApiError(text, status=status, code=code, plugin=plugin, hint=hint, request_id=request_id)


def login_supported(base_url: str, *, transport: httpx.BaseTransport | None = None) -> bool:
    """Return whether the server has a login, from ``GET /api/v1/auth/info``, asked without a token.

    Raises:
        CliError: no answer, or one that does not say.
    """
    url = f"{base_url}/api/v1/auth/info"
    server, shown_url = concealed(base_url), concealed(url)
    try:
        status, answer = fetch(
            "GET", url, headers={"Accept": "*/*"}, timeout_s=AUTH_INFO_TIMEOUT_S, transport=transport
        )
    except Unreachable as error:
        raise Unreachable(
            f"failed to reach {shown_url}: {error.message}\n  Run 'gestalt auth status' for diagnostics."
        ) from error
    if status >= 400:
        raise CliError(f"request to {shown_url} failed (HTTP {status}): {shown(answer)}")
    try:
        info = orjson.loads(answer)
    except ValueError as error:
        raise CliError(f"server at {server} returned non-JSON auth info: {error}") from error
    supported = info.get("loginSupported") if isinstance(info, dict) else None
    if not isinstance(supported, bool):
        raise CliError(f"server at {server} returned auth info without loginSupported; is it a Gestalt server?")
    return supported


def shown(answer: bytes) -> str:
    """Return the first part of a body, for an error message."""
    return answer.decode(errors="replace")[:_SHOWN_OF_BODY]


def error_of(status: int, answer: bytes) -> tuple[str, str, str]:
    """Return text, code and plugin name of an error answer.

    The whole body when it has no error text, the status alone when that is blank.
    """
    try:
        document = orjson.loads(answer)
    except ValueError:
        document = None
    if isinstance(document, dict):
        inner = document.get("error")
        levels = [inner, document] if isinstance(inner, dict) else [document]

        def first(name: str) -> str | None:
            return next((level[name] for level in levels if isinstance(level.get(name), str)), None)

        text = inner if isinstance(inner, str) else first("message")
        if text is not None:
            return text if text.strip() else f"HTTP {status}", first("code") or "", first("integration") or ""
    return f"HTTP {status}: {answer.decode(errors='replace')}", "", ""


def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    content: bytes | None = None,
    transport: httpx.BaseTransport | None = None,
    client: httpx.Client | None = None,
) -> tuple[int, bytes]:
    """Exchange one request and its answer within ``timeout_s``; return status and body, and raise as ``exchange``."""
    with exchange(
        method, url, headers=headers, timeout_s=timeout_s, content=content, transport=transport, client=client
    ) as received:
        return received.status, b"".join(received.chunks)


@contextmanager
def exchange(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    content: bytes | None = None,
    transport: httpx.BaseTransport | None = None,
    client: httpx.Client | None = None,
    whole: bool = True,
) -> Iterator[Received]:
    """Send one request, redirects followed; yield the answer.

    Args:
        timeout_s: How long the other side may be silent; with ``whole``, how long all of it may take.

    Raises:
        Unreachable: no connection; the message is the transport's.
        NoAnswer: none in time.
        BrokenOff: any other transport failure.
    """
    import httpx

    owned = client is None
    client = client or new_client(url, transport)
    deadline = time.monotonic() + timeout_s if whole else math.inf
    try:
        longest = None if math.isinf(timeout_s) else timeout_s
        timeout = httpx.Timeout(longest, connect=min(timeout_s, _CONNECT_TIMEOUT_S))
        request = client.build_request(method, url, headers=dict(headers), content=content, timeout=timeout)
        response = client.send(request, stream=True)
        try:
            yield Received(response.status_code, response.headers, _parts(response, deadline))
        finally:
            response.close()
    except httpx.ConnectTimeout as error:
        raise Unreachable(f"no connection within {min(timeout_s, _CONNECT_TIMEOUT_S):g} s") from error
    except httpx.ConnectError as error:
        raise Unreachable(_transport_text(error)) from error
    except httpx.TimeoutException as error:
        raise NoAnswer(f"no answer within {timeout_s:g} s") from error
    except httpx.InvalidURL as error:
        raise CliError(f"invalid server URL '{concealed(url)}': {error}") from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise BrokenOff(f"request to {concealed(url)} failed: {_transport_text(error)}") from error
    finally:
        if owned:
            client.close()


def new_client(url: str, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Make an HTTP client for ``url``.

    It honours the proxy variables of the environment, except for servers on this machine: no proxy reaches those, and
    it would be shown the token.
    """
    import ssl

    import httpx

    here = is_loopback_url(url)
    try:
        # Reading the system's certificates takes 0.1 s. A server on this machine is asked without TLS; should it
        # redirect to https, a context without certificates refuses.
        plain = here and url.startswith("http://")
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else httpx.create_ssl_context()
    except OSError as error:
        raise CliError(f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be used: {error}") from error
    try:
        return httpx.Client(
            follow_redirects=True,
            max_redirects=10,
            verify=verify,
            transport=transport,
            trust_env=not here,
            event_hooks={"request": [] if here else [_stay_elsewhere]},
            headers={"User-Agent": "gestalt-cli"},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        from urllib.request import getproxies

        # What the library says repeats the variable, which may hold a password.
        found = ", ".join(f"{name}_proxy={concealed(value)}" for name, value in sorted(getproxies().items()))
        missing = f"; {error}" if isinstance(error, ImportError) else ""
        raise CliError(
            f"the proxy settings of the environment cannot be used: {found}; "
            f"proxies are URLs with http, https, socks5 or socks5h{missing}"
        ) from error


def _stay_elsewhere(request: httpx.Request) -> None:
    """Refuse what a server elsewhere redirects to this machine.

    Here it could be a request to what only this machine's users reach, which a server on it takes for theirs.
    """
    if is_loopback_url(str(request.url)):
        shown_url = concealed(str(request.url.copy_with(path="/", query=None)).rstrip("/"))
        raise CliError(f"the server redirects to {shown_url}, which is this machine; nothing was sent there")


class BrokenOff(CliError):
    """The exchange ended before the answer was complete, or was none of HTTP."""


def _parts(response: httpx.Response, deadline: float) -> Iterator[bytes]:
    import httpx

    for chunk in response.iter_bytes():
        yield chunk
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer took too long", request=response.request)


def _json_of(received: Received) -> Any:
    """Return the answer's JSON; 204 counts as ``{"status": "ok"}``, an empty body as ``{}``."""
    answer = b"".join(received.chunks)
    if received.status == 204:
        return {"status": "ok"}
    if not answer:
        return {}
    try:
        return orjson.loads(answer)
    except ValueError as error:
        raise _not_json(received, error) from error


def _not_json(received: Received, error: ValueError) -> CliError:
    content_type = received.headers.get("content-type", "")
    is_other = content_type and "json" not in content_type.lower()
    return CliError(f"failed to parse response JSON: {f'the answer is {content_type}' if is_other else error}")


def _transport_text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _encoded(body: Any) -> bytes:
    try:
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError) as error:
        raise CliError(f"the request cannot be written as JSON: {error}") from error
