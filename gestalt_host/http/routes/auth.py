"""Login and logout routes of a server without authentication (http-api.md 4.1-4.6).

Everybody is the one anonymous user here, so there is nothing to log in to; the answers tell a client so.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from gestalt_host.http.call import Answer, Call, error_answer, json_answer
from gestalt_host.http.routing import Route
from gestalt_host.http.shapes.bodies import Shape, decode_lenient, integer, text

LOGIN = Shape.of(state=text, callbackPort=integer)

_CLEAR_SESSION = (b"set-cookie", b"session_token=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")


async def info(call: Call) -> Answer:
    features = {"agent": call.services.agents_available}
    return json_answer({"provider": "none", "displayName": "none", "loginSupported": False, "features": features})


async def login(call: Call) -> Answer:
    decode_lenient(await call.body(), LOGIN)
    return error_answer(404, "auth is disabled")


async def browser_login(call: Call) -> Answer:
    wanted = call.query.get("next", "")
    if wanted and not _is_local(wanted):
        return error_answer(400, "invalid next path")
    return error_answer(404, "auth is disabled")


async def callback(call: Call) -> Answer:
    if not call.query.get("code"):
        return error_answer(400, "missing code parameter")
    return error_answer(404, "auth is disabled")


async def logout(call: Call) -> Answer:
    answer = json_answer({"status": "ok"})
    return Answer(answer.status, answer.body, headers=(_CLEAR_SESSION,))


def _is_local(path: str) -> bool:
    """Return whether a browser sent to this path stays on this server."""
    if not path.startswith("/") or path.startswith(("//", "/\\")) or not path.isprintable():
        return False
    try:
        parts = urlsplit(path)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


ROUTES = (
    Route("GET", "auth/info", info, public=True),
    Route("POST", "auth/login", login, public=True),
    Route("GET", "auth/login", browser_login, public=True),
    Route("GET", "auth/login/callback", callback, public=True),
    Route("POST", "auth/logout", logout, public=True),
)
