"""Secret references, ``secret: {provider, name}`` in place of a value: checking and replacing them (config.md 3)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gestalt_host.config.document import Node
from gestalt_host.config.errors import Faults, Place

RESERVED_PREFIX = "__GESTALT_SECRET_REF__:"


@dataclass(frozen=True, slots=True)
class SecretReference:
    """One secret that a configuration value is to be taken from; ``provider`` is a key of ``providers.secrets``."""

    provider: str
    name: str
    place: Place
    path: str

    @property
    def marker(self) -> str:
        """What stands in the value's place until it is resolved; private to the host."""
        text = json.dumps({"provider": self.provider, "name": self.name}, separators=(",", ":"))
        return RESERVED_PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def check_references(node: Node, faults: Faults, path: str = "") -> None:
    """Note every malformed reference and every text that uses the reserved prefix."""
    for child_path, child in _walk(node, path):
        if isinstance(child.value, str) and child.value.startswith(RESERVED_PREFIX):
            faults.add(child.place, child_path, f"text that starts with {RESERVED_PREFIX} is reserved")
        elif _is_reference(child):
            _check(child, child_path, faults)


def replace_references(
    node: Node, resolve: Callable[[SecretReference], str | None], faults: Faults, path: str = ""
) -> Node:
    """Return the tree with each reference replaced by what ``resolve`` answers; None leaves the marker.

    References where none are allowed are faults: inside ``workflows``, whose values are sent to plugins and kept in
    run history, and inside the ``config`` of a secrets provider.
    """
    if _is_reference(node):
        reference = _reference(node, path)
        if reference is None:
            return node
        if path.startswith("workflows."):
            faults.add(
                node.place,
                path,
                "a secret reference is not allowed inside workflows: the value would be sent to the plugin and kept in "
                "the run history; give it to the plugin's own config instead",
            )
            return Node(node.place, "", text="")
        parts = path.split(".")
        if parts[:2] == ["providers", "secrets"] and parts[3:4] == ["config"]:
            faults.add(node.place, path, "a secret reference is not allowed in the config of a secrets provider")
            return Node(node.place, "", text="")
        value = resolve(reference)
        text = reference.marker if value is None else value
        return Node(node.place, text, text=text)
    if isinstance(node.value, dict):
        children = {
            key: replace_references(child, resolve, faults, f"{path}.{key}" if path else key)
            for key, child in node.value.items()
        }
        return replace(node, value=children)
    if isinstance(node.value, list):
        items = [replace_references(child, resolve, faults, f"{path}[{i}]") for i, child in enumerate(node.value)]
        return replace(node, value=items)
    return node


def _walk(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path, node
    if isinstance(node.value, dict):
        if not _is_reference(node):
            for key, child in node.value.items():
                yield from _walk(child, f"{path}.{key}" if path else key)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _walk(child, f"{path}[{index}]")


def _is_reference(node: Node) -> bool:
    return isinstance(node.value, dict) and list(node.value) == ["secret"]


def _check(node: Node, path: str, faults: Faults) -> None:
    assert isinstance(node.value, dict)
    body = node.value["secret"]
    path = f"{path}.secret"
    if not isinstance(body.value, dict):
        faults.add(body.place, path, "must be a mapping with provider and name")
        return
    for key, child in body.value.items():
        if key not in ("provider", "name"):
            faults.add(child.place, f"{path}.{key}", "is not supported; accepted are provider and name")
    for key in ("provider", "name"):
        field = body.value.get(key)
        if field is None or field.value in (None, ""):
            faults.add(body.place, f"{path}.{key}", "is required")
        elif not isinstance(field.value, str):
            faults.add(field.place, f"{path}.{key}", "must be a string")


def _reference(node: Node, path: str) -> SecretReference | None:
    assert isinstance(node.value, dict)
    body = node.value["secret"].value
    if not isinstance(body, dict):
        return None
    provider, name = body.get("provider"), body.get("name")
    if provider is None or name is None or not isinstance(provider.value, str) or not isinstance(name.value, str):
        return None
    return SecretReference(provider.value.strip(), name.value, node.place, path)
