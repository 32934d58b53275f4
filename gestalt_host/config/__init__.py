"""The host's YAML configuration: finding, loading and checking it. Imports nothing else of the host."""

from gestalt_host.config.errors import ConfigurationInvalid, ConfigurationUnreadable, Problem
from gestalt_host.config.load import CONFIG_VARIABLE, find_config, load, require_serveable, user_config_path
from gestalt_host.config.model import HostConfig

__all__ = [
    "CONFIG_VARIABLE",
    "ConfigurationInvalid",
    "ConfigurationUnreadable",
    "HostConfig",
    "Problem",
    "find_config",
    "load",
    "require_serveable",
    "user_config_path",
]
