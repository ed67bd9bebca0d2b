"""Who may speak as what: the role and the region stand in the names that a certificate was made for.

They are Nomad's names, `server.<region>.nomad`, `client.<region>.nomad` and `cli.<region>.nomad`, so that
certificates made by either serve both.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import cast


def peer_names(ssl_object: ssl.SSLObject) -> tuple[str, ...]:
    """The DNS names that a peer's verified certificate was made for; empty without one."""
    certificate = ssl_object.getpeercert() or {}
    names = cast("tuple[tuple[str, str], ...]", certificate.get("subjectAltName", ()))
    return tuple(name for kind, name in names if kind == "DNS")


def server_name(region: str) -> str:
    """What a server's certificate has to be made for, and so the `server_hostname` of every call to one."""
    return f"server.{region}.nomad"


def role_refusal(names: Sequence[str], *, roles: Sequence[str], region: str) -> str:
    """Why a certificate made for `names` may not speak as one of `roles` in `region`; empty when it may.

    A name has to match as it is written: `*.global.nomad` gives no role.
    """
    wanted = [f"{role}.{region}.nomad" for role in roles]
    if any(name in names for name in wanted):
        return ""
    if not names:
        return f"it has no certificate for {' or '.join(wanted)}"
    return f"its certificate is for {', '.join(names)[:200]}, not for {' or '.join(wanted)}"


def handshake_failure(error: Exception) -> str:
    """What went wrong on the way to a connection, for a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the other side's certificate was refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {str(error.reason or error).replace('_', ' ').lower()}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
