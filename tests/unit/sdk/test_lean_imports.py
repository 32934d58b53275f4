from __future__ import annotations

import subprocess
import sys


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_structlog_is_imported_without_rich_and_rich_can_be_imported_afterwards() -> None:
    program = """
import sys
from gestalt_sdk.common.lean_imports import lean_imports
with lean_imports():
    import structlog
    assert "rich" not in sys.modules
import rich.console, structlog.dev
assert structlog.dev.rich is None
print(rich.console.Console.__name__)
"""
    assert run(program) == "Console\n"


def test_who_has_imported_rich_already_keeps_it() -> None:
    program = """
import rich, sys
from gestalt_sdk.common.lean_imports import lean_imports
with lean_imports():
    assert sys.modules["rich"] is rich
import structlog.dev
print(structlog.dev.rich is rich)
"""
    assert run(program) == "True\n"


def test_garbage_is_collected_as_usual_afterwards_also_behind_an_import_that_fails() -> None:
    program = """
import gc
from gestalt_sdk.common.lean_imports import lean_imports
before = gc.get_threshold()
try:
    with lean_imports():
        assert gc.get_threshold()[0] > before[0]
        import no_such_module
except ModuleNotFoundError:
    pass
print(gc.get_threshold() == before, gc.isenabled(), gc.get_freeze_count() > 1000)
"""
    assert run(program) == "True True True\n"


def test_a_module_that_sets_the_collector_itself_is_heeded() -> None:
    program = """
import gc
from gestalt_sdk.common.lean_imports import lean_imports
with lean_imports():
    gc.disable()
    gc.set_threshold(123)
print(gc.get_threshold()[0], gc.isenabled())
"""
    assert run(program) == "123 False\n"
