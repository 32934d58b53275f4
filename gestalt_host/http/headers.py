"""Headers that every response carries (http-api.md 1.6)."""

from __future__ import annotations

RawHeaders = list[tuple[bytes, bytes]]

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


def security_headers(base_url: str) -> RawHeaders:
    """Return the fixed headers; Strict-Transport-Security only where the public base URL is https."""
    headers = [
        (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
    ]
    if base_url.lower().startswith("https:"):
        headers.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))
    return headers
