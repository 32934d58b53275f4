"""Checking the input of a target against its operation when a schedule or trigger is written (semantics.md 6.3)."""

from __future__ import annotations

from collections.abc import Collection

from gestalt_host.invocation.model import ConfiguredPlugin
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
        check_plugin_input(plugins.find(target.plugin), target)
    elif target.output_delivery is not None:
        delivery = target.output_delivery
        bound = {binding.input_field for binding in delivery.input_bindings}
        check_plugin_input(plugins.find(delivery.target.plugin), delivery.target, bound)


def check_plugin_input(plugin: ConfiguredPlugin | None, target: PluginTarget, bound: Collection[str] = ()) -> None:
    """Refuse input that the operation, as ``plugin`` has it, cannot take; as ``check_target_input``."""
    operation = None if plugin is None else plugin.operations.get(target.operation)
    if operation is None:
        return
    faults = check_input(operation, target.input, bound=bound)
    if faults:
        raise InputInvalid(target.plugin, target.operation, faults)
