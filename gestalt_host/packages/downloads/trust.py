"""Which certificates are trusted, and keeping the HTTP client's own log quiet."""

from __future__ import annotations

import logging
import ssl

from gestalt_host.packages.downloads.failures import FetchFailed


def tls_context() -> ssl.SSLContext:
    """Return the context of connections to servers: their certificates are checked, for the name that was asked for.

    Reading the certificates takes 0.1 s.

    Raises:
        FetchFailed: the file or directory that the environment names cannot be used.
    """
    import httpx

    try:
        return httpx.create_ssl_context()
    except OSError as error:
        text = "the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be used"
        raise FetchFailed(f"{text}: {error.strerror or error}") from error


def quiet_client_logs() -> None:
    """Keep the HTTP client from logging URLs and headers, which may hold secrets."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
