"""Modules by the names that they had before the SDK got folders."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from gestalt_sdk._old_names import MOVED

ONCE_MODULES = {
    "agent": "AgentHostClient AgentObjectNotFound AgentProvider AgentRequestInvalid AgentStateConflict FAULTS",
    "plugin": (
        "Access Credential HTTPSubjectRequest Operation OperationError Plugin PostConnectCredential Request Response "
        "Subject SubjectRejected operation"
    ),
    "workflow": (
        "Actor AgentTarget Event EventMatch EventTrigger EventTriggerInvocation ManualTrigger PluginTarget Run "
        "RunTrigger Schedule ScheduleTrigger Signal SignalResult Target WorkflowHostClient WorkflowManagerClient"
    ),
}
"""Modules that are packages of the same name now, and what was public in each."""


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_gives_the_same_module(old: str, new: str) -> None:
    old, new = f"gestalt_sdk.{old}", f"gestalt_sdk.{new}"
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"^{old} has moved to {new}$") as warned:
        module = importlib.import_module(old)
    assert warned[0].filename == importlib.__file__
    assert module is importlib.import_module(new)
    assert module.__spec__ is not None
    assert module.__spec__.name == new


@pytest.mark.parametrize("package", ONCE_MODULES)
def test_a_module_that_became_a_package_still_gives_its_names(package: str) -> None:
    module = importlib.import_module(f"gestalt_sdk.{package}")
    assert set(ONCE_MODULES[package].split()) <= set(module.__all__)


def test_both_names_in_one_process_are_one_module() -> None:
    script = (
        "from gestalt_sdk.provider import Provider as old;"
        "from gestalt_sdk import Provider as new; import gestalt_sdk.cron, gestalt_sdk.timing.cron;"
        "sys = __import__('sys'); sys.exit(old is not new or gestalt_sdk.cron is not gestalt_sdk.timing.cron)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_a_name_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"gestalt_sdk\.nothing"):
        importlib.import_module("gestalt_sdk.nothing")
