"""Finding the first other server: the addresses of `join` and `retry_join`, resolved and tried."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from raftnomad.certificates import roles
from raftnomad.errors import ConfigurationError, PeerError
from raftnomad.members.view import dial_failure, join_failure
from raftnomad.raft.reach import join_address, require_certificates, split_address

logger = logging.getLogger(__name__)

SERF_PORT = 4648
ADDRESSES_MAX = 64
MACHINES_PER_NAME_MAX = 16


@dataclass(frozen=True, kw_only=True)
class Joined:
    """How many of the addresses were joined, and Nomad's text about the others."""

    count: int
    error: str


Meet = Callable[[str, int], Awaitable[None]]
"""Meets the server at a resolved host and port; raises PeerError, ConfigurationError, OSError or ssl.SSLError."""


async def join(addresses: Sequence[str], meet: Meet) -> Joined:
    """Meet the servers at these serf addresses, at the same time. A name counts once, whoever of it answers."""
    failures = await asyncio.gather(*(_join(address, meet) for address in addresses[:ADDRESSES_MAX]))
    return Joined(count=failures.count([]), error=join_failure([text for texts in failures for text in texts]))


async def _join(address: str, meet: Meet) -> list[str]:
    """What went wrong; nothing when one machine behind the address answered."""
    try:
        machines = await resolve(address)
    except (OSError, ConfigurationError) as error:
        return [f"failed to join {address}: {error}"]
    failures = []
    for host, port in machines:
        try:
            await meet(host, port)
        except ssl.SSLError as error:
            failures.append(f"failed to join {join_address(host, port)}: {roles.handshake_failure(error)}")
        except (PeerError, ConfigurationError, OSError) as error:
            failures.append(dial_failure(join_address(host, port), error))
        else:
            return []
    return failures


async def resolve(address: str) -> list[tuple[str, int]]:
    """The machines behind `host` or `host:port`. Raises OSError or ConfigurationError."""
    host, port = split_address(address, SERF_PORT)
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({(str(place[0]), int(place[1])) for *_, place in found})[:MACHINES_PER_NAME_MAX]


async def refuse_to_reach_beyond_loopback(addresses: Sequence[str]) -> None:
    """Without certificates: raises ConfigurationError now, instead of never reaching the other servers."""
    for address in addresses:
        try:
            machines = await resolve(address)
        except OSError:
            # It may be resolved later; then the attempt to join says what is wrong.
            continue
        require_certificates(join_address(host, port) for host, port in machines)


@dataclass(frozen=True, kw_only=True)
class Retry:
    """`retry_join` and its kin. attempts_max: 0 for no end; hurried_s: the pause while there is no cluster yet."""

    addresses: tuple[str, ...] = ()
    interval_s: float = 30.0
    attempts_max: int = 0
    hurried_s: float = 1.0


async def keep_joining(
    retry: Retry,
    meet: Meet,
    present: Callable[[], set[str]],
    hurried: Callable[[], bool],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Try again and again those addresses at which no living server is known.

    present: the serf addresses of the living, this server's own included. Returns when the attempts are used up
    without having found anybody at all.
    """
    attempts = 0
    while True:
        others = present()
        missing = [
            address for address in retry.addresses if join_address(*split_address(address, SERF_PORT)) not in others
        ]
        if missing:
            joined = await join(missing, meet)
            alone = len(present()) <= 1
            attempts = attempts + 1 if alone else 0
            if alone and joined.error:
                logger.info("join: %s", " ".join(joined.error.split()))
            if 0 < retry.attempts_max <= attempts:
                logger.error("join: nobody found at %s in %d attempts", ", ".join(missing), attempts)
                return
        await sleep(retry.hurried_s if hurried() else retry.interval_s)
