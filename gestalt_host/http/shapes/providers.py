"""Reports of providers in JSON (http-api.md 3.1)."""

from __future__ import annotations

from typing import Any

from gestalt_host.http.shapes.rendering import put_text, put_time
from gestalt_host.supervisor.reports import Fault, ProcessReport, ProviderReport

Json = dict[str, Any]


def provider_shape(report: ProviderReport) -> Json:
    shape: Json = {"kind": report.kind, "name": report.name}
    put_text(shape, "displayName", report.display_name)
    put_text(shape, "package", report.package)
    put_text(shape, "version", report.version)
    put_text(shape, "source", report.source)
    put_text(shape, "digest", report.digest)
    shape |= {"runtime": report.runtime, "state": report.state}
    put_time(shape, "since", report.since)
    put_text(shape, "reason", report.reason)
    shape["restarts"] = report.restarts
    _put_number(shape, "pid", report.pid)
    _put_number(shape, "memoryBytes", report.memory_bytes)
    _put_fault(shape, report.last_fault)
    if report.capabilities:
        shape["capabilities"] = list(report.capabilities)
    if report.notices:
        shape["notices"] = list(report.notices)
    # What the only process of a provider is like stands above.
    if len(report.processes) > 1:
        shape["processes"] = [_process_shape(item) for item in report.processes]
    return shape


def _process_shape(process: ProcessReport) -> Json:
    shape: Json = {}
    put_text(shape, "binding", process.binding)
    shape["state"] = process.state
    put_time(shape, "since", process.since)
    put_text(shape, "reason", process.reason)
    shape["restarts"] = process.restarts
    _put_number(shape, "pid", process.pid)
    _put_number(shape, "memoryBytes", process.memory_bytes)
    _put_fault(shape, process.last_fault)
    return shape


def _put_number(shape: Json, key: str, value: int | None) -> None:
    if value is not None:
        shape[key] = value


def _put_fault(shape: Json, fault: Fault | None) -> None:
    if fault is not None:
        shape["lastError"] = {"text": fault.text}
        put_time(shape["lastError"], "at", fault.at)
