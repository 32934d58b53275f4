"""The rules of workflow providers (docs/spec/semantics.md); ``RULES`` has them in the order in which they are tried."""

from gestalt_host.verification.suites.workflow import (
    cron,
    events,
    objects,
    recovery,
    references,
    replicas,
    runs,
    signals,
)

RULES = (
    *objects.RULES,
    *cron.RULES,
    *references.RULES,
    *runs.RULES,
    *signals.RULES,
    *events.RULES,
    *recovery.RULES,
    *replicas.RULES,
)
