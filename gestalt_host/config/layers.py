"""Merging the documents of several ``--config`` files, left to right (config.md 4)."""

from __future__ import annotations

from gestalt_host.config.document import Node


def merge(base: Node, overlay: Node) -> Node:
    """The base with the overlay on top.

    Mappings merge key by key, everything else is replaced whole, and ``null`` deletes a key that the base has. Nodes
    keep the place they were written at, and with it the directory that their relative paths start from.
    """
    if not (isinstance(base.value, dict) and isinstance(overlay.value, dict)):
        return overlay
    values, places = dict(base.value), dict(base.key_places)
    for key, node in overlay.value.items():
        if key in base.value and node.value is None:
            del values[key], places[key]
            continue
        values[key] = merge(base.value[key], node) if key in base.value else node
        places[key] = overlay.key_places.get(key, node.place)
    return Node(overlay.place, values, key_places=places)
