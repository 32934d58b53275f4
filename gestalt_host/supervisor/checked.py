"""A provider's process that is asked what is wrong with its configuration, and never configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gestalt_host.supervisor import lifecycle
from gestalt_host.supervisor.process import ProviderProcess
from gestalt_host.supervisor.spec import ProviderSpec
from gestalt_sdk.bases.check import CAPABILITY
from gestalt_sdk.bases.provider import ConfigFault, ProviderKind


async def check_provider(spec: ProviderSpec, environ: Mapping[str, str]) -> Sequence[ConfigFault] | None:
    """Launch the process, ask it, and end it; return None when it judges no configurations.

    Raises:
        ProviderStartFailed: it cannot be launched, is of another kind, or does not answer as it should.
    """
    process = _CheckedProcess(spec, environ)
    try:
        await process.start()
    finally:
        await process.stop()
    return process.faults


class _CheckedProcess(ProviderProcess):
    faults: Sequence[ConfigFault] | None = None

    async def _configured(self) -> None:
        spec = self.spec
        if spec.kind is not ProviderKind.INTEGRATION:
            identity = await lifecycle.identify(self.channel, spec.kind)
            if CAPABILITY not in identity.capabilities:
                return
        self.faults = await lifecycle.check(self.channel, spec.name, spec.config)

    def _tell_ready(self, pid: int, duration_s: float) -> None:
        """Say nothing: it is not ready for anything."""
