"""Static policies (config.md 9), ceilings, and who may read what the configuration made."""

from __future__ import annotations

import pytest

from gestalt_host.access.policies.authorizer import Authorizer, PluginAccess
from gestalt_host.access.subjects import Actor, Ceiling, Principal
from gestalt_host.config.model import Policy


def user(subject: str, kind: str = "", source: str = "session") -> Principal:
    return Principal(Actor(subject, kind, "", source))


POLICIES = {
    "closed": Policy("closed", "deny", {"user:ann": "editor", "service_account:ci": "runner"}),
    "open": Policy("open", "allow", {"user:ann": "admin"}),
    "blank": Policy("blank", "", {"user:ann": "editor"}),
}
AUTHORIZER = Authorizer(POLICIES, {"c": "closed", "o": "open", "b": "blank", "gone": "missing", "free": ""})


@pytest.mark.parametrize(
    ("who", "plugin", "access"),
    [
        (user("user:x"), "free", PluginAccess()),
        (user("user:x"), "unknown", PluginAccess()),
        (user("user:ann"), "c", PluginAccess("closed", "editor")),
        (user("service_account:ci"), "c", PluginAccess("closed", "runner")),
        (user("user:x"), "c", None),
        (user("user:x"), "b", None),
        (user("user:x"), "o", PluginAccess("open", "viewer")),
        (user("x", "user"), "o", PluginAccess("open", "viewer")),
        (user("user:ann"), "o", PluginAccess("open", "admin")),
        (user("service_account:x"), "o", None),
        (user("user:ann"), "gone", None),
        (user("system:config"), "c", PluginAccess()),
        (user("system:anything"), "gone", PluginAccess()),
    ],
)
def test_access(who: Principal, plugin: str, access: PluginAccess | None) -> None:
    assert AUTHORIZER.access(who, plugin) == access


@pytest.mark.parametrize(
    ("access", "roles", "allowed"),
    [
        (PluginAccess(), (), True),
        (PluginAccess(), ("admin",), True),
        (PluginAccess("closed", "editor"), (), False),
        (PluginAccess("closed", "editor"), ("admin", " editor "), True),
        (PluginAccess("closed", "editor"), ("Editor",), False),
        (PluginAccess("closed", "editor"), ("", " "), False),
        (PluginAccess("open", "viewer"), (), True),
        (PluginAccess("open", "viewer"), ("admin",), False),
        (PluginAccess("open", "admin"), ("admin",), True),
    ],
)
def test_operations(access: PluginAccess, roles: tuple[str, ...], allowed: bool) -> None:
    assert AUTHORIZER.allows_operation(access, roles) is allowed


def test_who_reads_configured_objects() -> None:
    no_auth = Authorizer(no_auth=True)
    assert no_auth.reads_configured(user("user:1", "user", "env"))
    assert not no_auth.reads_configured(user("user:1", "user", "api_token"))
    assert not Authorizer().reads_configured(user("user:1", "user", "env"))
    admins = Authorizer(POLICIES, admin_policy="open")
    assert admins.reads_configured(user("user:ann"))
    assert not admins.reads_configured(user("user:x"))
    editors = Authorizer(POLICIES, admin_policy="closed", admin_roles=["editor"])
    assert editors.reads_configured(user("user:ann"))
    assert not editors.reads_configured(user("service_account:ci"))


def test_ceilings() -> None:
    ceiling = Ceiling({"a": None, "b": frozenset({"x"})})
    assert ceiling.allows("a", "anything")
    assert ceiling.allows("b", "x")
    assert ceiling.allows_plugin("b")
    assert not ceiling.allows("b", "y")
    assert not ceiling.allows("c", "x")
    assert not ceiling.allows_plugin("c")
