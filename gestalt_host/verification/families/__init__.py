"""Rules that hold for providers of every kind, a module for each family; ``RULES`` has them in the order of a life."""

from gestalt_host.verification.families import (
    configuration,
    ending,
    extensions,
    handshake,
    health,
    host_services,
    messages,
    sockets,
)

RULES = (
    *handshake.RULES,
    *configuration.RULES,
    *health.RULES,
    *sockets.RULES,
    *messages.RULES,
    *host_services.RULES,
    *extensions.RULES,
    *ending.RULES,
)
