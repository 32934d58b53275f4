"""Checking the input of a target against its operation when a schedule or trigger is written (semantics.md 6.3)."""

from __future__ import annotations

from collections.abc import Collection

from gestalt_host.invocation.plugins import PluginRegistry
from gestalt_host.packages.inputs import InputInvalid, check_input
from gestalt_host.workflows.model import PluginTarget, Target


def check_target_input(plugins: PluginRegistry, target: Target) -> None:
    """Refuse a target, or delivery of an agent target, whose input its operation cannot take.

    An operation that is not known here is not judged: its plugin has failed, and so do its runs, visibly.

    Raises:
        InputInvalid: naming the operation, and each member with what is accepted.
    """
    if isinstance(target, PluginTarget):
        _check(plugins, target)
    elif target.output_delivery is not None:
        delivery = target.output_delivery
        _check(plugins, delivery.target, {binding.input_field for binding in delivery.input_bindings})


def _check(plugins: PluginRegistry, target: PluginTarget, bound: Collection[str] = ()) -> None:
    plugin = plugins.find(target.plugin)
    operation = None if plugin is None else plugin.operations.get(target.operation)
    if operation is None:
        return
    faults = check_input(operation, target.input, bound=bound)
    if faults:
        raise InputInvalid(target.plugin, target.operation, faults)
