"""Routes of plugins: the list, the operations of one, and invoking one (http-api.md 6, 7)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog

from gestalt_host.access.credentials.connections import internal_name
from gestalt_host.errors import (
    AuthorizationDenied,
    HostError,
    InvalidArgument,
    InvalidInvocation,
    quoted,
)
from gestalt_host.http.call import JSON, Answer, Call, ClientGone, error_answer, json_answer
from gestalt_host.http.faults import answer_to_invocation
from gestalt_host.http.origins import BrowserRefused
from gestalt_host.http.routing import Route
from gestalt_host.http.shapes.bodies import decode_parameters
from gestalt_host.http.shapes.plugins import (
    internal_parameters,
    is_listed,
    operation_shapes,
    plugin_shape,
)
from gestalt_host.invocation.connections import check_selectors
from gestalt_host.invocation.model import ConfiguredPlugin, OperationResult

log = structlog.get_logger()

_SELECTORS = (("instance", "_instance"), ("connection", "_connection"))


async def list_plugins(call: Call) -> Answer:
    call.failure = "failed to check integration status"
    shown = [plugin for plugin in call.services.plugins if is_listed(plugin) and _may_see(call, plugin.name)]
    return json_answer([plugin_shape(plugin) for plugin in shown])


async def disconnect(call: Call) -> Answer:
    """Answer DELETE of a connection: this host stores no credentials, so there is never one to remove."""
    call.failure = "failed to disconnect integration"
    plugin = _plugin(call)
    for name in call.query:
        if name not in ("_connection", "_instance"):
            raise InvalidArgument(f"unsupported query parameter {quoted(name)}")
    _check_names(call.query)
    return error_answer(404, f"no connection found for integration {quoted(plugin.name)}")


async def list_operations(call: Call) -> Answer:
    plugin = _plugin(call)
    _check_names(call.query)
    plugin.require_known()
    chosen = {name: call.query.get(key, "") for name, key in _SELECTORS}
    found = await call.services.invoker.operations(call.who, plugin, **chosen)
    return json_answer(operation_shapes(plugin, found))


async def invoke_with_query(call: Call) -> Answer:
    plugin = _plugin(call)
    _check_names(call.query)
    params: dict[str, Any] = dict(call.query)
    chosen = {name: params.pop(key, "") for name, key in _SELECTORS}
    if "sec-fetch-mode" in call.headers:
        _check_browser(call, await call.services.invoker.seen_by(call.who, plugin, call.values[1], **chosen))
    return await _invoke(call, plugin, params, **chosen)


async def invoke_with_body(call: Call) -> Answer:
    plugin = _plugin(call)
    _check_names(call.query)
    params = decode_parameters(await call.body())
    in_body = {key: value for _, key in _SELECTORS if isinstance(value := params.pop(key, ""), str) and value}
    _check_names(in_body)
    chosen: dict[str, str] = {}
    for name, key in _SELECTORS:
        asked = call.query.get(key, "")
        if asked and key in in_body and in_body[key] != asked:
            raise InvalidArgument(f"conflicting {name} parameter {quoted(key)} in query string and JSON body")
        chosen[name] = in_body.get(key, asked)
    return await _invoke(call, plugin, params, **chosen)


async def _invoke(
    call: Call, plugin: ConfiguredPlugin, params: dict[str, Any], *, connection: str, instance: str
) -> Answer:
    operation = call.values[1]
    for name in sorted(internal_parameters(plugin, operation).intersection(params)):
        raise InvalidInvocation(f"parameter {quoted(name)} is not public")
    try:
        result = await call.while_awaited(
            call.services.invoker.invoke(
                call.who,
                plugin.name,
                operation,
                params,
                connection=internal_name(connection),
                instance=instance,
                public=True,
                request_id=call.request_id,
            )
        )
    except ClientGone:
        log.info(
            "a call was cancelled: its client went away",
            event_name="http.client_gone",
            plugin=plugin.name,
            operation=operation,
        )
        raise
    except HostError as error:
        answer = answer_to_invocation(error)
        if answer.detail_hidden:
            _log_failure(plugin.name, operation, str(error), type(error).__name__)
        return error_answer(answer.status, answer.text, code=answer.code, plugin=answer.plugin)
    return _result_answer(plugin.name, operation, result)


def _result_answer(plugin: str, operation: str, result: OperationResult) -> Answer:
    """Answer with the operation's own result, as it is."""
    status = result.status or 200
    if not 200 <= status <= 599:
        _log_failure(plugin, operation, f"result status {status} is not an HTTP status", "")
        return error_answer(502, "operation failed")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log_failure(plugin, operation, f"the operation answered with status {status}", "")
    content_type = result.content_type
    if not content_type or not content_type.isprintable():
        content_type = JSON
    return Answer(status, result.body.encode() if result.raw is None else result.raw, content_type)


def _plugin(call: Call) -> ConfiguredPlugin:
    """Return the plugin of the path. Raises ``PluginNotFound``, ``OperationAccessDenied``."""
    return call.services.invoker.require_access(call.who, call.values[0])


def _may_see(call: Call, plugin: str) -> bool:
    try:
        call.services.invoker.require_access(call.who, plugin)
    except AuthorizationDenied:
        return False
    return True


def _check_browser(call: Call, plugin: ConfiguredPlugin) -> None:
    """Refuse to run by GET, for a browser, what may change something: an image or a link of any page asks so."""
    operation = plugin.operations.get(call.values[1])
    if operation is not None and not operation.read_only:
        raise BrowserRefused(
            f"operation {quoted(call.values[1])} of integration {quoted(plugin.name)} is not marked as read-only, so a "
            "browser may run it by POST and not by GET"
        )


def _check_names(found: dict[str, str]) -> None:
    """Check ``_connection`` and ``_instance`` where they are set."""
    check_selectors(found.get("_connection", ""), found.get("_instance", ""))


def _log_failure(plugin: str, operation: str, error: str, error_type: str) -> None:
    log.warning(
        "operation failed",
        event_name="http.operation_failed",
        plugin=plugin,
        operation=operation,
        error=error,
        error_type=error_type,
    )


ROUTES = (
    Route("GET", "integrations", list_plugins),
    Route("DELETE", "integrations/{name}", disconnect),
    Route("GET", "integrations/{name}/operations", list_operations),
)
CATCH_ALL = (
    Route("GET", "{integration}/{operation}", invoke_with_query),
    Route("POST", "{integration}/{operation}", invoke_with_body),
)
