"""Certificates: who may speak as a server or a client of which region."""

from __future__ import annotations

import ssl
from typing import cast


def peer_names(ssl_object: ssl.SSLObject) -> tuple[str, ...]:
    """The DNS names that a peer's verified certificate was made for; empty without one."""
    certificate = ssl_object.getpeercert() or {}
    names = cast("tuple[tuple[str, str], ...]", certificate.get("subjectAltName", ()))
    return tuple(name for kind, name in names if kind == "DNS")


def role_refusal(names: tuple[str, ...], *, roles: tuple[str, ...], region: str) -> str:
    """Why a certificate made for `names` may not speak as one of `roles` in `region`; empty when it may."""
    wanted = [f"{role}.{region}.nomad" for role in roles]
    if any(name in names for name in wanted):
        return ""
    if not names:
        return f"it has no certificate for {' or '.join(wanted)}"
    return f"its certificate is for {', '.join(names)[:200]}, not for {' or '.join(wanted)}"


def handshake_failure(error: Exception) -> str:
    """What went wrong in a TLS handshake, for a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the other side's certificate was refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error).replace("_", " ").lower()
    return str(error) or type(error).__name__
