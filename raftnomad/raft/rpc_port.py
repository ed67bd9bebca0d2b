"""The rpc port: raft frames between servers, and HTTP for client agents, on one port.

With TLS they are told apart by the name that the caller asks for (ALPN) and each needs a certificate that was made
for its role; without, by the first byte: a frame's length is small, so it begins with a zero, and HTTP with a letter.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from raftnomad.certificates import roles
from raftnomad.errors import PeerError
from raftnomad.raft.listener import Arrival, Listener, PortLimits

RAFT_ALPN = "raftnomad-raft/1"
HTTP_ALPN = "http/1.1"

ProtocolFactory = Callable[[], asyncio.Protocol]

_TLS_HANDSHAKE = b"\x16"


class RpcPort(Listener):
    """`raft_protocol_factory` is `TcpNetwork.accept`; `http_protocol_factory` an `aiohttp.web.Server`.

    Either may be None: a caller that wants it is turned away. `tls` is `settings.rpc_server_context(...)` with
    both names as its ALPN protocols.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        region: str,
        raft_protocol_factory: ProtocolFactory | None,
        http_protocol_factory: ProtocolFactory | None = None,
        tls: ssl.SSLContext | None = None,
        limits: PortLimits | None = None,
    ) -> None:
        super().__init__("rpc", host, port, self._protocol_of, tls=tls, limits=limits)
        self._region = region
        self._raft = raft_protocol_factory
        self._http = http_protocol_factory
        if tls is not None:
            tls.set_alpn_protocols([RAFT_ALPN, HTTP_ALPN])

    def _protocol_of(self, arrival: Arrival) -> asyncio.Protocol:
        if is_raft(arrival):
            refuse_unless_role(arrival, ("server",), self._region)
            if self._raft is None:
                raise PeerError("raft is not served here")
            return self._raft()
        refuse_unless_role(arrival, ("server", "client"), self._region)
        if self._http is None:
            raise PeerError("HTTP is not served here")
        return self._http()


def is_raft(arrival: Arrival) -> bool:
    """True for raft, False for HTTP. Raises PeerError when it is neither."""
    if arrival.encrypted:
        return arrival.alpn == RAFT_ALPN
    if arrival.first_byte == b"\0":
        return True
    if arrival.first_byte.isalpha() and arrival.first_byte.isascii():
        return False
    if arrival.first_byte == _TLS_HANDSHAKE:
        raise PeerError("it speaks TLS, and this server has no certificate: see `tls` in its configuration")
    raise PeerError("it speaks neither raft nor HTTP")


def refuse_unless_role(arrival: Arrival, allowed: tuple[str, ...], region: str) -> None:
    """With TLS, the certificate has to be made for one of the allowed roles, in this region. Raises PeerError."""
    if not arrival.encrypted:
        return
    refusal = roles.role_refusal(arrival.names, roles=allowed, region=region)
    if refusal:
        raise PeerError(refusal)
