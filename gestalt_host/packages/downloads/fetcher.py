"""Fetching documents and archives over HTTP(S) (packaging.md 8.1).

A request goes to the URL that was asked for and along at most ten redirects, which lead neither from https to http nor
from elsewhere to this machine. A token goes to the one origin that it is for, and no longer once a redirect has led
away from it. What may pass is tried again; a body that broke off is resumed where the server says that it has not
changed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit, urlunsplit

from gestalt_host.packages.downloads.answers import PASSING, decoded, is_html, seconds_to_wait, status_text
from gestalt_host.packages.downloads.cache import ArchiveCache, Partial, is_digest
from gestalt_host.packages.downloads.failures import FetchFailed, MayPass, judged
from gestalt_host.packages.downloads.progress import Progress, Transfer, size_text
from gestalt_host.packages.downloads.trust import quiet_client_logs, tls_context
from gestalt_host.packages.downloads.urls import (
    Origin,
    is_http,
    is_loopback,
    name_of,
    origin,
    resolved,
    shown,
    shown_origin,
)
from gestalt_host.packages.errors import PackageInvalid

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
MOST_ARCHIVE_BYTES = 512 * 1024 * 1024
MOST_REDIRECTS = 10
BYTES = "application/octet-stream"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HTML_BYTES = 1024
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:([0-9]{1,18})|\*)")
_TOKEN = re.compile(r"[\x21-\x7e]*")


@dataclass(frozen=True, slots=True)
class Timing:
    """How long is waited, in seconds.

    Attributes:
        connect_s: For a connection.
        idle_s: For the next part of an answer.
        answer_s: For status and headers of an answer.
        document_s: For a whole document.
        window_s: In each such time an archive must come on by ``window_bytes``.
        waits_s: Before each further attempt.
        most_wait_s: However long a server asks to wait.
    """

    connect_s: float = 10
    idle_s: float = 30
    answer_s: float = 60
    document_s: float = 60
    window_s: float = 60
    window_bytes: int = 64 * 1024
    waits_s: tuple[float, ...] = (1, 2, 4, 8)
    most_wait_s: float = 60


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and the one origin that it may be sent to; None: it is sent to nobody."""

    text: str = field(repr=False)
    origin: Origin | None

    @classmethod
    def for_url(cls, text: str, url: str) -> Token:
        """Return the token, without blanks around it, for the origin of a URL.

        Raises:
            FetchFailed: it has characters that no header can have; it is not shown.
        """
        text = text.strip()
        if not _TOKEN.fullmatch(text):
            raise FetchFailed("the token has characters other than printable ASCII; check source.auth.token")
        return cls(text, origin(url))

    def goes_to(self, url: str) -> bool:
        """Return whether a request for the URL carries the token."""
        return bool(self.text) and self.origin is not None and origin(url) == self.origin


NO_TOKEN = Token("", None)


class Fetcher:
    """Fetches for one command; ``async with`` closes its connections at the end.

    Args:
        cache: Where archives are kept.
        patient: Also unknown names and refused connections are tried again: nobody sits before it, and the network
            may not be up yet.
    """

    def __init__(
        self,
        cache: ArchiveCache,
        *,
        progress: Progress | None = None,
        patient: bool = False,
        timing: Timing | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.cache = cache
        self.progress = progress or Progress()
        self._patient = patient
        self._timing = timing or Timing()
        self._sleep = sleep
        self._clients: dict[tuple[bool, bool], httpx.AsyncClient] = {}

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close connections, progress and the temporary directory of the cache."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()
        self.progress.close()
        self.cache.close()

    async def document(
        self,
        url: str,
        *,
        label: str,
        most: int,
        token: Token = NO_TOKEN,
        accept: str = BYTES,
        retries: bool = True,
    ) -> bytes:
        """Return a document of at most ``most`` bytes.

        Args:
            label: The entry that it is for, such as ``indexeddb "main"``.
            retries: Whether what may pass is tried again.

        Raises:
            FetchFailed: naming the URL, why, and what to do.
        """

        async def attempt() -> bytes:
            try:
                async with (
                    asyncio.timeout(self._timing.document_s),
                    self._answer(url, token, {"Accept": accept}) as response,
                ):
                    _check_status(response, url, token)
                    _check_size(response, 0, most)
                    return await decoded(response.aiter_raw(), response.headers.get("Content-Encoding"), most)
            except TimeoutError:
                raise MayPass(f"it did not come whole within {self._timing.document_s:g} s") from None

        return await self._attempts(attempt, url, label, self._timing.waits_s if retries else ())

    async def archive(
        self, url: str, sha256: str, *, label: str, token: Token = NO_TOKEN, fresh: bool = False, accept: str = BYTES
    ) -> Path:
        """Return the archive of this digest, from the cache or from the URL; it is in the cache then.

        Args:
            label: The entry that it is for.
            fresh: Fetch it although it is in the cache, to see what is published.

        Raises:
            FetchFailed: it cannot be fetched, or what is published has another digest.
        """
        if not is_digest(sha256):
            raise FetchFailed(f"{shown(url)}: {sha256[:100]!r} is no SHA-256 digest; accepted are 64 of 0-9 and a-f")
        if not fresh and (kept := await self.kept(sha256, label=label, file=name_of(url))) is not None:
            return kept
        transfer = self.progress.begin(label, name_of(url))
        outcome = "failed"
        try:
            path, outcome = await self._download(url, sha256, label, token, accept, transfer)
            return path
        except OSError as error:
            raise FetchFailed(f"{shown(url)}: it cannot be stored: {error.strerror or error}") from error
        except asyncio.CancelledError:
            outcome = "stopped"
            raise
        finally:
            transfer.end(outcome)

    async def kept(self, sha256: str, *, label: str, file: str) -> Path | None:
        """Return the archive of this digest if it is in the cache.

        Args:
            label: The entry that it is for.
            file: Name of the archive, for the same.
        """
        path = await asyncio.to_thread(self.cache.take, sha256)
        if path is not None:
            self.progress.note(label, f"{file}: from the cache")
        return path

    async def _download(
        self, url: str, sha256: str, label: str, token: Token, accept: str, transfer: Transfer
    ) -> tuple[Path, str]:
        with self.cache.partial() as partial:
            body = _Body(partial, transfer, self._timing)

            async def attempt() -> None:
                headers = {"Accept": accept, **body.resume_headers()}
                async with self._answer(url, token, headers) as response:
                    if not body.resumes(response):
                        _check_status(response, url, token)
                        body.begin(response)
                    _check_size(response, partial.size, MOST_ARCHIVE_BYTES)
                    await body.take(response)

            await self._attempts(attempt, url, label, self._timing.waits_s)
            if partial.sha256 != sha256:
                raise FetchFailed(f"{shown(url)}: {_mismatch(partial, sha256)}")
            return self.cache.keep(partial), f"downloaded, {size_text(partial.size)}"

    async def _attempts(self, attempt: Callable[[], Awaitable[T]], url: str, label: str, waits: tuple[float, ...]) -> T:
        import httpx

        for number, wait in enumerate((*waits, None), 1):
            try:
                return await attempt()
            except httpx.InvalidURL as error:
                raise FetchFailed(f"{shown(url)}: not a URL that can be asked for: {error}") from error
            except (httpx.HTTPError, MayPass, PackageInvalid) as error:
                failure = judged(error) if isinstance(error, httpx.HTTPError) else error
                passing = isinstance(failure, MayPass) and (self._patient or not failure.network)
                if wait is None or not passing:
                    tried = f"; tried {number} times" if number > 1 else ""
                    raise FetchFailed(f"{shown(url)}: {failure}{tried}", getattr(failure, "status", 0)) from error
                assert isinstance(failure, MayPass)
                pause = min(max(wait, failure.wait_s), self._timing.most_wait_s)
                self.progress.note(label, f"{shown(url)}: {failure}; trying again in {pause:g} s")
            await self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _answer(self, url: str, token: Token, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """Give the answer at the end of the redirects, its body not read yet."""
        for _ in range(MOST_REDIRECTS + 1):
            client = self._client(url)
            authorization = {"Authorization": f"Bearer {token.text}"} if token.goes_to(url) else {}
            sent = {**headers, **authorization, "Accept-Encoding": "identity"}
            request = client.build_request("GET", _asked_for(url, with_token=bool(authorization)), headers=sent)
            response = await self._sent(client, request, url)
            client.cookies.clear()  # no request depends on what an earlier one was told
            try:
                location = response.headers.get("Location")
                if response.status_code not in _REDIRECTS or not location:
                    yield response
                    return
            finally:
                await response.aclose()
            target = _followed(url, location)
            if origin(target) != origin(url):
                token = Token(token.text, None)
            url = target
        raise FetchFailed(f"more than {MOST_REDIRECTS} redirects, the last one to {shown(url)}; check the URL")

    async def _sent(self, client: httpx.AsyncClient, request: httpx.Request, url: str) -> httpx.Response:
        import httpx

        try:
            # The client waits for each byte of a header anew, and for what follows any number of answers 1xx.
            async with asyncio.timeout(self._timing.answer_s):
                return await client.send(request, stream=True)
        except TimeoutError:
            raise MayPass(f"no whole answer began within {self._timing.answer_s:g} s") from None
        except (httpx.InvalidURL, httpx.RemoteProtocolError) as error:
            # The client looks at where a redirect leads although it is not to follow it.
            if isinstance(error, httpx.RemoteProtocolError) and "location header" not in str(error):
                raise
            raise FetchFailed(f"{shown(url)} redirects to what is no URL; only http and https are followed") from error

    def _client(self, url: str) -> httpx.AsyncClient:
        """Return the client for a URL: it honours the proxy variables, except for servers on this machine.

        No proxy reaches those, and it would be shown the token.
        """
        here, encrypted = is_loopback(url), urlsplit(url).scheme == "https"
        if (here, encrypted) not in self._clients:
            self._clients[here, encrypted] = _new_client(self._timing, proxies=not here, encrypted=encrypted)
        return self._clients[here, encrypted]


class _Body:
    """The body of an archive over several attempts."""

    def __init__(self, partial: Partial, transfer: Transfer, timing: Timing) -> None:
        self._partial, self._transfer, self._timing = partial, transfer, timing
        self._validator = ""
        self._whole = 0  # bytes that there are, where the server has said it with the last part

    def resume_headers(self) -> dict[str, str]:
        """Return the headers that ask for the rest, none where the whole is wanted."""
        if not self._partial.size or not self._validator:
            return {}
        return {"Range": f"bytes={self._partial.size}-", "If-Range": self._validator}

    def resumes(self, response: httpx.Response) -> bool:
        """Return whether the answer is the rest of what is there."""
        if not self._partial.size or response.status_code not in (206, 416):
            return False
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status_code == 206 and found is not None and int(found[1]) == self._partial.size:
            self._whole = int(found[2] or 0)
            return True
        self._partial.reset()
        raise MayPass("the server did not send the part that was asked for; it is fetched from the start")

    def begin(self, response: httpx.Response) -> None:
        """Take the answer as the whole body."""
        self._partial.reset()
        self._whole = 0
        tag = response.headers.get("ETag", "")
        # A weak tag does not say that the bytes are the same.
        self._validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")

    async def take(self, response: httpx.Response) -> None:
        """Write what comes, as it comes: an archive is not unpacked here."""
        length = _length_of(response)
        total = None if length is None else self._partial.size + length
        before, window_s, clock = self._partial.size, self._timing.window_s, asyncio.get_running_loop().time
        try:
            # Not only looked at when a part has come: the frame of a part can trickle too.
            async with asyncio.timeout(window_s) as window:
                async for chunk in response.aiter_raw():
                    self._partial.write(chunk)
                    if self._partial.size > MOST_ARCHIVE_BYTES:
                        raise FetchFailed(_too_large(f"more than {MOST_ARCHIVE_BYTES}", MOST_ARCHIVE_BYTES))
                    self._transfer.at(self._partial.size, total)
                    if self._partial.size - before >= self._timing.window_bytes:
                        before = self._partial.size
                        window.reschedule(clock() + window_s)
        except TimeoutError:
            raise MayPass(f"it comes too slowly: {self._partial.size - before} bytes in {window_s:g} s") from None
        if self._partial.size < self._whole:
            raise MayPass("the server sent a part of what was asked for")


def _new_client(timing: Timing, *, proxies: bool, encrypted: bool) -> httpx.AsyncClient:
    import ssl

    import httpx

    quiet_client_logs()
    # Where nothing is encrypted the certificates are not needed.
    trust = tls_context() if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.AsyncClient(
            verify=trust,
            trust_env=proxies,
            timeout=httpx.Timeout(timing.idle_s, connect=timing.connect_s, pool=None),
            headers={"User-Agent": "gestaltd"},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        from urllib.request import getproxies

        found = ", ".join(f"{name}_proxy={shown(value)}" for name, value in sorted(getproxies().items()))
        raise FetchFailed(
            f"the proxy settings of the environment cannot be used: {found}; "
            "proxies are URLs with http, https, socks5 or socks5h"
        ) from error


def _asked_for(url: str, *, with_token: bool) -> str:
    """Return the URL as it is asked for: a fragment is for the one who asks, and a token goes before a password."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2] if with_token else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, fragment=""))


def _followed(url: str, location: str) -> str:
    """Return where a redirect leads to.

    Raises:
        FetchFailed: it must not be followed.
    """
    try:
        target = resolved(url, location)
    except PackageInvalid:
        target = ""
    if not is_http(target):
        raise FetchFailed(f"{shown(url)} redirects to {shown(location[:200])!r}; only http and https are followed")
    parts = urlsplit(target)
    # A name and password are for whom the user named, and not for whom a server names.
    same = origin(target) == origin(url)
    target = urlunsplit(parts._replace(netloc=urlsplit(url).netloc if same else parts.netloc.rpartition("@")[2]))
    if parts.scheme == "http" and urlsplit(url).scheme == "https":
        raise FetchFailed(f"the server redirects from https to {shown_origin(target)}, which is not encrypted")
    refuse_inward(url, target)
    return target


def refuse_inward(source: str, target: str) -> None:
    """Refuse to go where a server elsewhere says, when that is this machine.

    It could be something that only this machine's users reach, and that takes the request for theirs.

    Raises:
        FetchFailed: the target is on this machine and the source is not.
    """
    if is_loopback(target) and not is_loopback(source):
        raise FetchFailed(
            f"{shown(source)} leads to {shown_origin(target)}, which is this machine; nothing is sent there"
        )


def _check_status(response: httpx.Response, url: str, token: Token) -> None:
    status = response.status_code
    if status == 200:
        return
    asked = str(response.request.url)
    sent = "Authorization" in response.request.headers and bool(token.text)
    text = status_text(status, "sent" if sent else "withheld" if token.text else "")
    if origin(asked) != origin(url):
        text = f"{shown(asked)}, to which it redirects: {text}"
    if status in PASSING:
        raise MayPass(text, status=status, wait_s=seconds_to_wait(response.headers.get("Retry-After")) or 0)
    raise FetchFailed(text, status)


def _check_size(response: httpx.Response, before: int, most: int) -> None:
    length = _length_of(response)
    if length is not None and before + length > most:
        raise FetchFailed(_too_large(str(before + length), most))


def _too_large(size: str, most: int) -> str:
    return f"it has {size} bytes; accepted are {most}"


def _length_of(response: httpx.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _mismatch(partial: Partial, sha256: str) -> str:
    text = f"the archive has digest {partial.sha256}, not {sha256} ({partial.size} bytes came)"
    partial.flush()
    with partial.path.open("rb") as file:
        if is_html(file.read(_HTML_BYTES)):
            return f"{text}: it is an HTML page, as servers send it to log in; check the URL and its token"
    return f"{text}; whoever publishes it has changed it, or its metadata"
