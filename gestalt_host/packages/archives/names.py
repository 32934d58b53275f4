"""Names of files in archives: which ones are unpacked, and under which path."""

from __future__ import annotations

from gestalt_host.packages.errors import PackageInvalid
from gestalt_sdk.common.printable import quoted

MOST_NAME_BYTES = 2048
MOST_PART_BYTES = 255
MOST_PARTS = 64


def parts_of(name: str) -> tuple[str, ...]:
    """Return the parts of the path that a name means inside the package; none for the package itself (``./``).

    Raises:
        PackageInvalid: the name is absolute, leaves the package, or is not one that every file system keeps as it is.
    """
    reason = _fault(name)
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not reason:
        reason = next((fault for fault in map(_fault_of_part, parts) if fault), "")
    if not reason and len(parts) > MOST_PARTS:
        reason = f"has {len(parts)} directories inside each other; accepted are {MOST_PARTS}"
    if reason:
        raise PackageInvalid(f"entry {quoted(name)}: {reason}")
    return parts


def _fault(name: str) -> str:
    if not name:
        return "the name is empty"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    if size > MOST_NAME_BYTES:
        return f"the name has {size} bytes; accepted are {MOST_NAME_BYTES}"
    if name.startswith("/"):
        return "the name is absolute; accepted are names relative to the package"
    if "\\" in name:
        return "the name has a back-slash; accepted are forward slashes"
    if not name.isprintable():
        return "the name has control characters or others that cannot be shown"
    return ""


def _fault_of_part(part: str) -> str:
    if part == "..":
        return "the name has '..' in it; accepted are names that cannot leave the package"
    if part.endswith((".", " ")):
        return f"{part!r} ends with a dot or a blank, which not every file system keeps"
    if len(part.encode()) > MOST_PART_BYTES:
        return f"a part of the name has {len(part.encode())} bytes; accepted are {MOST_PART_BYTES}"
    return ""
