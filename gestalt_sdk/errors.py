"""Give every error that Gestalt raises on purpose its base class; imports neither grpc nor HTTP."""

from __future__ import annotations


class GestaltError(Exception):
    """Report an expected failure; the text is written for the person or program that made the call."""


class ServiceUnavailable(GestaltError):
    """Report that a service of the host did not answer before the deadline, or cannot be reached."""


class ServiceRefused(GestaltError):
    """Report that a service of the host refused the call.

    Attributes:
        code: Name of the gRPC code, for example ``NOT_FOUND``.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
