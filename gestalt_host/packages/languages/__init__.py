"""The languages that providers are written in: how their sources are recognised, built and started."""

from gestalt_host.packages.languages.building import run_build_command
from gestalt_host.packages.languages.model import CompiledLanguage, Language, LaunchCommand
from gestalt_host.packages.languages.python import PYTHON, program_command, python_program, python_target
from gestalt_host.packages.languages.sources import (
    build_release,
    language_of,
    require_importable,
    source_command,
    watched_folders,
)

__all__ = [
    "PYTHON",
    "CompiledLanguage",
    "Language",
    "LaunchCommand",
    "build_release",
    "language_of",
    "program_command",
    "python_program",
    "python_target",
    "require_importable",
    "run_build_command",
    "source_command",
    "watched_folders",
]
