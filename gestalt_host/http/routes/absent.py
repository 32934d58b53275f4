"""Routes of subsystems that this host does not have, with the answers that http-api.md 9 and 10 allow."""

from __future__ import annotations

from gestalt_host.http.call import Answer, Call, error_answer, json_answer
from gestalt_host.http.routing import Route


async def managed_subjects(call: Call) -> Answer:
    return error_answer(503, "managed subjects require an authorization provider")


async def agent_providers(call: Call) -> Answer:
    return json_answer({"providers": []})


async def connecting(call: Call) -> Answer:
    return error_answer(503, "plugins cannot be connected to accounts: this server stores no credentials of users")


_SUBJECTS = "authorization/subjects"

_SUBJECT_ROUTES = {
    "": ("GET", "POST"),
    "/{subject}": ("GET", "PATCH", "DELETE"),
    "/{subject}/members": ("GET",),
    "/{subject}/members/{member}": ("PUT", "DELETE"),
    "/{subject}/grants": ("GET",),
    "/{subject}/grants/{plugin}": ("PUT", "DELETE"),
    "/{subject}/external-identities": ("GET", "PUT", "DELETE"),
    "/{subject}/integrations": ("GET",),
    "/{subject}/integrations/{name}": ("DELETE",),
    "/{subject}/auth/start-oauth": ("POST",),
    "/{subject}/auth/connect-manual": ("POST",),
    "/{subject}/tokens": ("GET", "POST", "DELETE"),
    "/{subject}/tokens/{id}": ("DELETE",),
}

ROUTES = (
    Route("GET", "agent/providers", agent_providers),
    Route("POST", "auth/connect-manual", connecting),
    Route("POST", "auth/start-oauth", connecting),
    *(
        Route(method, _SUBJECTS + path, managed_subjects)
        for path, methods in _SUBJECT_ROUTES.items()
        for method in methods
    ),
)
