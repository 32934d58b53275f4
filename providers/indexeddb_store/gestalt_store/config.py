"""The provider's configuration: what the host's mapping may hold, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gestalt_store.errors import ConfigInvalid
from gestalt_store.sqlite.database import Limits

_KEYS = ("dsn", "table_prefix", "prefix", "schema", "limits")
_LIMITS = ("lock_wait_s", "transaction_idle_s", "snapshot_idle_s")
_SQLITE = "sqlite://"
_DSN_FORMS = "sqlite://PATH or sqlite://:memory:"


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """One accepted configuration.

    Attributes:
        path: The DSN's file; None for a database in memory.
        db: Database of the provider's own socket; blank for the unnamed one.
    """

    path: Path | None
    db: str
    limits: Limits


def read_config(config: Mapping[str, Any]) -> tuple[StoreConfig, list[str]]:
    """The configuration, and a warning for each key that means nothing here.

    Raises:
        ConfigInvalid: naming every key that is wrong, its value and what is accepted.
    """
    problems: list[str] = []
    path = _read_dsn(config, problems)
    db = _read_db(config, problems)
    limits = _read_limits(config, problems)
    if problems:
        raise ConfigInvalid("; ".join(problems))
    warnings = [f"unknown configuration key {key!r}" for key in sorted(set(config) - set(_KEYS))]
    given = config.get("limits") or {}
    warnings += [f"unknown configuration key 'limits.{key}'" for key in sorted(set(given) - set(_LIMITS))]
    return StoreConfig(path, db, limits), warnings


def _text(config: Mapping[str, Any], key: str, problems: list[str]) -> str:
    value = config.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        problems.append(f"{key} is {value!r}; a text is expected")
        return ""
    return value


def _read_dsn(config: Mapping[str, Any], problems: list[str]) -> Path | None:
    before = len(problems)
    dsn = _text(config, "dsn", problems).strip()
    if len(problems) > before:
        return None
    if not dsn:
        problems.append(f"dsn is missing; accepted are {_DSN_FORMS}")
        return None
    if dsn.startswith(("postgres://", "postgresql://")):
        problems.append(f"dsn: PostgreSQL is not served by this version; accepted are {_DSN_FORMS}")
        return None
    rest = dsn.removeprefix(_SQLITE) if dsn.startswith(_SQLITE) else ""
    if not rest or "\x00" in rest:
        # Only the scheme is shown: the rest of another database's DSN may hold a password.
        shown = repr(dsn.split("://")[0] + "://…") if "://" in dsn else "without a scheme"
        problems.append(f"dsn is {shown}; accepted are {_DSN_FORMS}")
        return None
    if rest == ":memory:":
        return None
    if rest.endswith("/"):
        problems.append(f"dsn names the directory {rest!r}; the path of a file is expected")
        return None
    path = Path(rest).absolute()
    if path.is_dir():
        problems.append(f"dsn names the directory {rest!r}; the path of a file is expected")
    return path


def _read_db(config: Mapping[str, Any], problems: list[str]) -> str:
    prefixes = {key: _text(config, key, problems) for key in ("table_prefix", "prefix")}
    given = {value for value in prefixes.values() if value}
    if len(given) > 1:
        problems.append(
            f"table_prefix {prefixes['table_prefix']!r} and prefix {prefixes['prefix']!r} differ; "
            "they mean the same, give one"
        )
    schema = _text(config, "schema", problems)
    if given:
        return given.pop().removesuffix("_")
    return schema


def _read_limits(config: Mapping[str, Any], problems: list[str]) -> Limits:
    given = config.get("limits")
    if given is None:
        return Limits()
    if not isinstance(given, Mapping):
        problems.append(f"limits is {given!r}; a mapping of {', '.join(_LIMITS)} is expected")
        return Limits()
    accepted: dict[str, float] = {}
    for key in _LIMITS:
        value = given.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.05 <= value <= 86_400:
            problems.append(f"limits.{key} is {value!r}; seconds from 0.05 to 86400 are expected")
        else:
            accepted[key] = float(value)
    return Limits(**accepted)
