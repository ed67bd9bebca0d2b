"""`/v1/metrics`: the registry as JSON, shaped as Nomad's, and as Prometheus reads it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Any

from raftnomad.api import answers
from raftnomad.server.server import Server
from raftnomad.telemetry import INTERVAL_S, Aggregate, Labels, Registry, Series
from raftnomad.web import Answer, Request, Response

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"


def metrics(registry: Registry, now_ns: int, request: Request) -> Answer:
    if request.get("format") == "prometheus":
        return Response(body=_prometheus(registry).encode(), content_type=PROMETHEUS)
    return answers.json(_summary(registry, now_ns))


def server_gauges(server: Server) -> Iterator[tuple[str, float]]:
    """How much the state holds, and every number among the server's statistics."""
    state = server.state
    yield "nomad.state.index", state.index
    for table in state.tables():
        yield f"nomad.state.{table.name}", len(table)
    for section, values in server.statistics().items():
        for name, text in values.items():
            try:
                yield f"nomad.{section}.{name}", float(text)
            except ValueError:
                continue


def _summary(registry: Registry, now_ns: int) -> dict[str, Any]:
    counters, samples = registry.interval()
    now = datetime.datetime.fromtimestamp(now_ns // 10**9 // int(INTERVAL_S) * int(INTERVAL_S), datetime.UTC)
    return {
        "Timestamp": f"{now:%Y-%m-%d %H:%M:%S} +0000 UTC",
        "Gauges": [
            {"Name": name, "Value": value, "Labels": dict(labels)}
            for (name, labels), value in sorted(registry.gauges().items())
        ],
        "Points": [],
        "Counters": _aggregates(counters),
        "Samples": _aggregates(samples),
    }


def _aggregates(series: Series) -> list[dict[str, Any]]:
    return [_aggregate(name, labels, value) for (name, labels), value in sorted(series.items(), key=lambda i: i[0])]


def _aggregate(name: str, labels: Labels, value: Aggregate) -> dict[str, Any]:
    return {
        "Name": name,
        "Count": value.count,
        "Rate": value.sum / INTERVAL_S,
        "Sum": value.sum,
        "Min": value.min,
        "Max": value.max,
        "Mean": value.mean,
        "Stddev": value.standard_deviation,
        "Labels": dict(labels),
    }


def _prometheus(registry: Registry) -> str:
    counters, samples = registry.totals
    lines: list[str] = []
    for (name, labels), value in sorted(registry.gauges().items()):
        lines += [f"# TYPE {_name(name)} gauge", f"{_name(name)}{_labels(labels)} {value:g}"]
    for (name, labels), total in sorted(counters.items(), key=lambda i: i[0]):
        lines += [f"# TYPE {_name(name)} counter", f"{_name(name)}{_labels(labels)} {total.sum:g}"]
    for (name, labels), total in sorted(samples.items(), key=lambda i: i[0]):
        lines += [
            f"# TYPE {_name(name)} summary",
            f"{_name(name)}_sum{_labels(labels)} {total.sum:g}",
            f"{_name(name)}_count{_labels(labels)} {total.count}",
        ]
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_:]", "_", name)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = (f'{_name(k)}="{v.translate(_ESCAPES)}"' for k, v in labels)
    return "{" + ",".join(escaped) + "}"


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
