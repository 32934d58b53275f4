"""The provider's configuration: which keys the host's mapping may have, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gestalt_sdk.bases.provider import ConfigFault
from gestalt_sdk.common.printable import quoted
from gestalt_store.engines.limits import StoreLimits
from gestalt_store.errors import ConfigInvalid

_KEYS = ("dsn", "table_prefix", "prefix", "schema", "limits")
_LIMITS = ("lock_wait_s", "transaction_idle_s", "snapshot_idle_s")
_NUMBERS = {"connections": (6, 1000), "open_streams": (1, 100_000), "stream_memory_mib": (200, 1_000_000)}
"""Least and most. The least memory is what one record of 64 MiB takes on its way from PostgreSQL to a client."""
_SQLITE = "sqlite://"
_POSTGRES = ("postgresql://", "postgres://")
_DSN_FORMS = "sqlite://PATH, sqlite://:memory: or postgresql://[USER[:PASSWORD]@][HOST][:PORT]/DATABASE"


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """One accepted configuration.

    Attributes:
        path: The DSN's file; None for a database in memory, and for PostgreSQL.
        db: Database of the provider's own socket; blank for the unnamed one.
        conninfo: The DSN of PostgreSQL, which may hold a password; None for SQLite.
    """

    path: Path | None
    db: str
    limits: StoreLimits
    conninfo: str | None = field(default=None, repr=False)


def read_config(config: Mapping[str, object]) -> tuple[StoreConfig, list[str]]:
    """Return the configuration, and a warning for each unknown key.

    Raises:
        ConfigInvalid: naming every key that is wrong, its value and what is accepted.
    """
    accepted, faults = judge_config(config)
    problems = [str(fault) for fault in faults if not fault.is_warning]
    if problems:
        raise ConfigInvalid("; ".join(problems))
    return accepted, [f"unknown configuration key {fault.key!r}" for fault in faults]


def judge_config(config: Mapping[str, object]) -> tuple[StoreConfig, list[ConfigFault]]:
    """Return the configuration, with defaults where it has faults, and all that is wrong or unknown."""
    faults: list[ConfigFault] = []
    path, conninfo = _read_dsn(config, faults)
    db = _read_db(config, faults)
    limits = _read_limits(config, faults)
    known = f"is unknown; known are {', '.join(_KEYS)}"
    faults += [ConfigFault(key, known, is_warning=True) for key in sorted(set(config) - set(_KEYS))]
    given = config.get("limits")
    if isinstance(given, Mapping):
        names = (*_LIMITS, *_NUMBERS)
        known = f"is unknown; known are {', '.join(names)}"
        faults += [ConfigFault(f"limits.{key}", known, is_warning=True) for key in sorted(set(given) - set(names))]
    return StoreConfig(path, db, limits, conninfo), faults


def _text(config: Mapping[str, object], key: str, problems: list[ConfigFault]) -> str:
    value = config.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        problems.append(ConfigFault(key, f"is {value!r}; a text is expected"))
        return ""
    return value


def _read_dsn(config: Mapping[str, object], problems: list[ConfigFault]) -> tuple[Path | None, str | None]:
    """Return the file, or the DSN of PostgreSQL; neither for a database in memory."""
    before = len(problems)
    # Not read by ``_text``, whose error shows the value: it may hold a password.
    dsn = config.get("dsn")
    if dsn is not None and not isinstance(dsn, str):
        problems.append(ConfigFault("dsn", f"is of type {type(dsn).__name__}; a text is expected, {_DSN_FORMS}"))
        return None, None
    dsn = (dsn or "").strip()
    if not dsn:
        problems.append(ConfigFault("dsn", f"is missing; accepted are {_DSN_FORMS}"))
    elif dsn.startswith(_POSTGRES):
        return None, _read_conninfo(dsn, problems)
    if len(problems) > before:
        return None, None
    return _read_path(dsn, problems), None


def _read_conninfo(dsn: str, problems: list[ConfigFault]) -> str | None:
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        problems.append(
            ConfigFault(
                "dsn",
                "needs the package psycopg for PostgreSQL, which is not installed: pip install 'psycopg[binary]'",
            )
        )
        return None
    try:
        conninfo_to_dict(dsn)
    except ProgrammingError:
        # The library's text quotes the DSN with its password.
        problems.append(ConfigFault("dsn", f"cannot be read as a DSN of PostgreSQL; accepted are {_DSN_FORMS}"))
        return None
    return dsn


def _read_path(dsn: str, problems: list[ConfigFault]) -> Path | None:
    rest = dsn.removeprefix(_SQLITE) if dsn.startswith(_SQLITE) else ""
    if not rest or "\x00" in rest:
        # Only the scheme is shown: the rest of another database's DSN may hold a password.
        shown = repr(dsn.split("://")[0] + "://…") if "://" in dsn else "without a scheme"
        problems.append(ConfigFault("dsn", f"is {shown}; accepted are {_DSN_FORMS}"))
        return None
    if rest == ":memory:":
        return None
    if rest.endswith("/"):
        problems.append(ConfigFault("dsn", f"names the directory {rest!r}; the path of a file is expected"))
        return None
    path = Path(rest).absolute()
    try:
        if path.is_dir():
            problems.append(ConfigFault("dsn", f"names the directory {rest!r}; the path of a file is expected"))
    except OSError as error:  # for example longer than the system takes
        problems.append(ConfigFault("dsn", f"names {quoted(rest)}, which cannot be used: {error.strerror or error}"))
        return None
    return path


def _read_db(config: Mapping[str, object], problems: list[ConfigFault]) -> str:
    prefixes = {key: _text(config, key, problems) for key in ("table_prefix", "prefix")}
    given = {value for value in prefixes.values() if value}
    if len(given) > 1:
        problems.append(
            ConfigFault(
                "table_prefix",
                f"{prefixes['table_prefix']!r} and prefix {prefixes['prefix']!r} differ; they mean the same, give one",
            )
        )
    schema = _text(config, "schema", problems)
    if given:
        return given.pop().removesuffix("_")
    return schema


def _read_limits(config: Mapping[str, object], problems: list[ConfigFault]) -> StoreLimits:
    given = config.get("limits")
    if given is None:
        return StoreLimits()
    if not isinstance(given, Mapping):
        problems.append(
            ConfigFault("limits", f"is {given!r}; a mapping of {', '.join((*_LIMITS, *_NUMBERS))} is expected")
        )
        return StoreLimits()
    usual = StoreLimits()
    lock_wait_s, transaction_idle_s, snapshot_idle_s = (
        _seconds(given, key, getattr(usual, key), problems) for key in _LIMITS
    )
    connections, open_streams, stream_memory_mib = (
        _whole(given, key, getattr(usual, key), problems) for key in _NUMBERS
    )
    return StoreLimits(lock_wait_s, transaction_idle_s, snapshot_idle_s, connections, open_streams, stream_memory_mib)


def _whole(limits: Mapping[str, object], key: str, usual: int, problems: list[ConfigFault]) -> int:
    value = limits.get(key)
    if value is None:
        return usual
    least, most = _NUMBERS[key]
    # Numbers arrive as doubles.
    if (
        not isinstance(value, (int, float))
        or isinstance(value, bool)
        or not least <= value <= most
        or value != int(value)
    ):
        problems.append(
            ConfigFault(f"limits.{key}", f"is {value!r}; a whole number from {least} to {most} is expected")
        )
        return usual
    return int(value)


def _seconds(limits: Mapping[str, object], key: str, usual: float, problems: list[ConfigFault]) -> float:
    value = limits.get(key)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.05 <= value <= 86_400:
        problems.append(ConfigFault(f"limits.{key}", f"is {value!r}; seconds from 0.05 to 86400 are expected"))
        return usual
    return float(value)
