"""Which drivers can be used here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from raftnomad.clock import rfc3339
from raftnomad.drivers.driver import Driver, Fingerprint
from raftnomad.model.node import DriverInfo, NodeEvent


async def measure(drivers: Mapping[str, Driver]) -> dict[str, Fingerprint]:
    names = sorted(drivers)
    found = await asyncio.gather(*(drivers[name].fingerprint() for name in names))
    return dict(zip(names, found, strict=True))


def attributes(found: Mapping[str, Fingerprint]) -> dict[str, str]:
    """Those that are detected; `driver.<name>` is 1 for each, so that constraints can ask for it."""
    values: dict[str, str] = {}
    for name, fingerprint in found.items():
        if fingerprint.detected:
            values |= fingerprint.attributes
            values[f"driver.{name}"] = "1"
    return values


def infos(
    found: Mapping[str, Fingerprint], before: Mapping[str, DriverInfo] | None, now_ns: int
) -> dict[str, DriverInfo]:
    """As the node lists them; the time of a driver that is as before stays."""
    return {name: _info(name, fingerprint, (before or {}).get(name), now_ns) for name, fingerprint in found.items()}


def _info(name: str, found: Fingerprint, before: DriverInfo | None, now_ns: int) -> DriverInfo:
    described = dict(found.attributes)
    if found.detected:
        described[f"driver.{name}"] = "true"
    info = DriverInfo(
        attributes=described,
        detected=found.detected,
        healthy=found.healthy,
        health_description=found.description or ("Healthy" if found.healthy else ""),
        update_time=before.update_time if before is not None else rfc3339(now_ns),
    )
    if before is None or info == before:
        return info
    return DriverInfo(
        attributes=described,
        detected=info.detected,
        healthy=info.healthy,
        health_description=info.health_description,
        update_time=rfc3339(now_ns),
    )


def events(
    before: Mapping[str, DriverInfo] | None, after: Mapping[str, DriverInfo], now_ns: int
) -> tuple[NodeEvent, ...]:
    """What the node's log says of drivers whose health changed."""
    news = []
    for name, info in after.items():
        old = (before or {}).get(name)
        if old is not None and (old.healthy, old.health_description) != (info.healthy, info.health_description):
            news.append(
                NodeEvent(
                    message=info.health_description,
                    subsystem="Driver",
                    details={"driver": name},
                    timestamp=rfc3339(now_ns),
                )
            )
    return tuple(news)
