"""From an operation, parameters and a credential to the HTTP request, and what is refused before it is sent.

packaging.md 4.2 and decision 32. What a caller gives stays a value: it goes where its parameter is declared, encoded
for that place, and is never converted to another type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from gestalt_host.access.credentials.auth_mapping import mapped_headers
from gestalt_host.access.credentials.connections import InvocationCredential
from gestalt_host.errors import InvalidArgument, InvalidInvocation, RequestImpossible, quoted
from gestalt_host.invocation.rest.headers import ALWAYS_SECRET, NO_HEADER, Headers, fits_header, static_headers
from gestalt_host.invocation.rest.urls import url_of
from gestalt_host.invocation.rest.values import Unrequestable, Unwritable, json_body, text_of
from gestalt_host.packages.catalogue import CatalogueOperation, CatalogueParameter
from gestalt_host.packages.inputs import REST, InputFault, InputInvalid, check_input
from gestalt_host.packages.manifests.rest_model import PLACEHOLDER, RestOperation, RestSurface, is_settable_header
from gestalt_host.packages.rest_inputs import WITHOUT_BODY, fills_path, place_of
from gestalt_sdk.common.members import member_path
from gestalt_sdk.common.printable import printable

MOST_BYTES = 65_535
"""Of a URL, and of all headers together, as the host itself accepts of its clients."""
JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """One HTTP request, complete.

    Attributes:
        url: To be sent as it is: a step such as ``..`` in a manifest's path is the manifest's wish.
        headers: Values are text; they go as UTF-8.
        secret_headers: Lower-case names of headers that hold a credential; they go to no other origin.
        template: Method and URL with the placeholders of its path, without the query: for messages.
        may_repeat: Whether it may be sent again where the other side asks for it.
        has_credential: Whether the connection's credential is in it; a manifest's own header is none.
    """

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    secret_headers: frozenset[str]
    template: str
    may_repeat: bool
    has_credential: bool


def prepare(
    surface: RestSurface,
    operation: RestOperation,
    params: Mapping[str, object],
    credential: InvocationCredential,
    *,
    plugin: str,
) -> PreparedRequest:
    """Return the request of an operation.

    Args:
        plugin: Its name, for messages.
    Raises:
        InputInvalid: a value of another type than is declared, one that no request can carry, or a required one that
            is missing.
        InvalidArgument: a value of the path is missing, or URL or headers are too long.
        InvalidInvocation: an internal parameter is given.
        RequestImpossible: base URL, path, headers and credential do not make a request, whatever is given.
        CredentialFieldUnfit: the stored credential lacks what the connection sends of it.
    """
    try:
        return _prepared(surface, operation, params, credential, plugin)
    except Unrequestable as error:
        path = printable(operation.path.partition("?")[0])
        raise RequestImpossible(f"{operation.method} {path}", str(error)) from None


def _prepared(
    surface: RestSurface,
    operation: RestOperation,
    params: Mapping[str, object],
    credential: InvocationCredential,
    plugin: str,
) -> PreparedRequest:
    for name in sorted(item.name for item in operation.parameters if item.internal):
        if name in params:
            raise InvalidInvocation(f"parameter {quoted(name)} is not public")
    entry = _entry(operation)
    in_path = _path_values(entry, params)
    faults = check_input(entry, params)
    if faults:
        raise InputInvalid(plugin, operation.name, faults)
    secrets = _credential_headers(credential)
    texts = _Texts()
    values = {name: texts.of(name, value) for name, value in in_path.items()}
    left = {name: value for name, value in sorted(params.items()) if name not in in_path}
    places = {name: place_of(entry, name) for name in left}
    query = [pair for name, value in left.items() if places[name] == "query" for pair in texts.pairs(name, value)]
    headers = Headers()
    for name, text in static_headers(surface.headers, credential.params):
        headers.put(name, text)
    for name, value in left.items():
        if places[name] == "header" and value is not None:
            texts.put_header(headers, name, value, secrets)
    body = None
    if operation.method not in WITHOUT_BODY:
        body = texts.body({name: value for name, value in left.items() if places[name] == "body"})
        if "content-type" not in headers:
            headers.put("Content-Type", JSON_TYPE)
    if texts.faults:
        raise InputInvalid(plugin, operation.name, texts.faults)
    for name, text in secrets.items():
        headers.put(name, text)
    url = url_of(surface.base_url, operation.path, values, query, credential.params)
    _check_size("URL", len(url.text))
    _check_size("headers", sum(len(name) + len(text.encode()) for name, text in headers.items()))
    return PreparedRequest(
        method=operation.method,
        url=url.text,
        headers=dict(headers.items()),
        body=body,
        secret_headers=frozenset(
            {name.lower() for name in secrets} | {name for name in ALWAYS_SECRET if name in headers}
        ),
        template=f"{operation.method} {url.shown}",
        may_repeat=operation.method == "GET" or operation.idempotent,
        has_credential=bool(secrets),
    )


class _Texts:
    """Writes values and gathers the faults of those that cannot be written, by their names."""

    def __init__(self) -> None:
        self.faults: list[InputFault] = []

    def of(self, name: str, value: object) -> str:
        try:
            text_of(name)
            return text_of(value)
        except Unwritable as error:
            self.faults.append(InputFault(member_path([name]), str(error)))
            return ""

    def pairs(self, name: str, value: object) -> Iterator[tuple[str, str]]:
        """Yield the pairs of a query: a list repeats the name, null is left out."""
        for item in value if isinstance(value, list | tuple) else (value,):
            if item is not None:
                yield name, self.of(name, item)

    def put_header(self, headers: Headers, name: str, value: object, taken: Collection[str]) -> None:
        """Set the header of a parameter, unless it is the host's own or holds the credential."""
        if not is_settable_header(name) or name.lower() in map(str.lower, taken):
            reason = "is a header that the host or the credential sets; accepted is none"
            self.faults.append(InputFault(member_path([name]), reason))
            return
        try:
            headers.put(name, self.of(name, value))
        except Unwritable as error:
            self.faults.append(InputFault(member_path([name]), str(error)))

    def body(self, params: Mapping[str, object]) -> bytes:
        try:
            return json_body(params)
        except Unwritable:
            for name, value in params.items():
                self.of(name, value)
            return b""


def _path_values(operation: CatalogueOperation, params: Mapping[str, object]) -> dict[str, object]:
    """Return the values of the path's placeholders.

    Raises:
        InvalidArgument: one is missing, or is a parameter that goes elsewhere.
    """
    values = {}
    for name in PLACEHOLDER.findall(operation.path):
        if params.get(name) is None or not fills_path(operation, name):
            raise InvalidArgument(f"missing required path parameter: {name}")
        values[name] = params[name]
    return values


def _entry(operation: RestOperation) -> CatalogueOperation:
    parameters = tuple(
        CatalogueParameter(item.name, item.type, location=item.place, required=item.required, internal=item.internal)
        for item in operation.parameters
    )
    return CatalogueOperation(operation.name, operation.method, operation.path, parameters=parameters, transport=REST)


def _check_size(what: str, size: int) -> None:
    if size > MOST_BYTES:
        raise InvalidArgument(
            f"the {what} of the request would have {size} bytes, over the limit of {MOST_BYTES}; "
            "shorter values are accepted"
        )


def _credential_headers(credential: InvocationCredential) -> dict[str, str]:
    """Return the headers that hold the credential: those of its mapping, else the token; none in mode none.

    Raises:
        CredentialFieldUnfit: the mapping names a field that is not there, or that no header can have.
        Unrequestable: a header cannot hold the token; the text does not show it.
    """
    if credential.mode == "none":
        return {}
    if credential.mapping is not None:
        return mapped_headers(credential.mapping, credential.fields)
    if not credential.token:
        return {}
    if not fits_header(credential.token):
        raise Unrequestable(f"the token of connection {quoted(credential.connection)} {NO_HEADER}")
    return {"Authorization": f"Bearer {credential.token}"}
