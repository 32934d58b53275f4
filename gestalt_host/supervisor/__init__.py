"""Provider processes: launching, configuring, watching, restarting and stopping them, and the sockets in between."""

from gestalt_host.supervisor.checked import check_provider
from gestalt_host.supervisor.directories import sweep_stale
from gestalt_host.supervisor.errors import ProviderAway, ProviderDown, ProviderStartFailed
from gestalt_host.supervisor.groups import ProcessGroups
from gestalt_host.supervisor.lifecycle import ProviderIdentity
from gestalt_host.supervisor.process import ProviderProcess
from gestalt_host.supervisor.reports import Fault, ProcessReport, ProviderReport
from gestalt_host.supervisor.service_sockets import HostService
from gestalt_host.supervisor.spec import ProviderSpec, Timings
from gestalt_host.supervisor.state import State
from gestalt_host.supervisor.stores import BoundStore, Store

__all__ = [
    "BoundStore",
    "Fault",
    "HostService",
    "ProcessGroups",
    "ProcessReport",
    "ProviderAway",
    "ProviderDown",
    "ProviderIdentity",
    "ProviderProcess",
    "ProviderReport",
    "ProviderSpec",
    "ProviderStartFailed",
    "State",
    "Store",
    "Timings",
    "check_provider",
    "sweep_stale",
]
