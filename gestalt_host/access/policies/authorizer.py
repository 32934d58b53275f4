"""Role policies: which subject may use which plugin and operation (config.md 9, semantics.md 6.6).

Permission ceilings are not looked at here; an operation is usable when the role policy and the ceiling both allow it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gestalt_host.access.subjects import Principal
from gestalt_host.config.model import Policy

VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class PluginAccess:
    """What a policy says about a subject; both empty when the plugin has no policy or the subject is the system."""

    policy: str = ""
    role: str = ""


UNRESTRICTED = PluginAccess()


class Authorizer:
    def __init__(
        self,
        policies: Mapping[str, Policy] | None = None,
        plugin_policies: Mapping[str, str] | None = None,
        *,
        no_auth: bool = False,
        admin_policy: str = "",
        admin_roles: Collection[str] = ("admin",),
    ) -> None:
        """
        Args:
            plugin_policies: Plugin to the name of its ``authorizationPolicy``; plugins without one are left out.
            no_auth: The server has no authentication, so its one user is the operator.
            admin_policy, admin_roles: ``server.admin``; no policy, no administrators.
        """
        self._policies = dict(policies or {})
        self._plugin_policies = {plugin: name for plugin, name in (plugin_policies or {}).items() if name}
        self._no_auth = no_auth
        self._admin_policy = admin_policy
        self._admin_roles = frozenset(admin_roles)

    def access(self, who: Principal, plugin: str) -> PluginAccess | None:
        """Return the caller's access to a plugin, or None when its policy gives the caller no role."""
        name = self._plugin_policies.get(plugin)
        if name is None or who.subject_id.startswith("system:"):
            return UNRESTRICTED
        policy = self._policies.get(name)
        role = "" if policy is None else _role(policy, who)
        return PluginAccess(name, role) if role else None

    def allows_operation(self, access: PluginAccess, allowed_roles: Iterable[str]) -> bool:
        """Return whether ``access`` is enough for an operation with these ``allowedRoles``."""
        if not access.policy:
            return True
        roles = {role.strip() for role in allowed_roles} - {""}
        if not roles:
            return self._policies[access.policy].default == "allow"
        return access.role in roles

    def reads_configured(self, who: Principal) -> bool:
        """Return whether the caller may read config-managed objects: the no-auth user and administrators."""
        if self._no_auth and who.actor.auth_source == "env":
            return True
        policy = self._policies.get(self._admin_policy)
        return policy is not None and _role(policy, who) in self._admin_roles


def _role(policy: Policy, who: Principal) -> str:
    role = policy.members.get(who.subject_id, "")
    if role:
        return role
    is_user = (who.actor.subject_kind or who.subject_id.partition(":")[0]) == "user"
    return VIEWER if policy.default == "allow" and is_user else ""
