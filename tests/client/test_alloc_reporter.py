from __future__ import annotations

import asyncio

from raftnomad.client.alloc_reporter import AllocReporter
from raftnomad.clock import SystemClock
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.agent_protocol import AllocationReport, ReportRequest, ReportResponse


class Servers:
    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.heard: list[tuple[AllocationReport, ...]] = []

    async def report(self, request: ReportRequest) -> ReportResponse:
        if self.refusals:
            self.refusals -= 1
            raise RaftnomadError("No cluster leader")
        self.heard.append(request.reports)
        return ReportResponse(index=1)


def a_report(id: str, status: str) -> AllocationReport:
    return AllocationReport(id=id, client_status=status)


async def sent(servers: Servers, *reports: AllocationReport) -> AllocReporter:
    """A reporter after it has been told these and has sent what it had to."""
    reporter = AllocReporter(servers, SystemClock(), lambda: 0.0, interval_s=0.01)  # type: ignore[arg-type]
    running = asyncio.ensure_future(reporter.run())
    for report in reports:
        reporter.note(report)
    async with asyncio.timeout(10):
        await reporter.flushed()
    running.cancel()
    return reporter


async def test_the_newest_word_on_each_allocation_goes_in_one_batch() -> None:
    servers = Servers()
    await sent(servers, a_report("a", "pending"), a_report("b", "running"), a_report("a", "running"))
    assert servers.heard == [(a_report("a", "running"), a_report("b", "running"))]


async def test_what_was_refused_is_sent_again() -> None:
    servers = Servers(refusals=2)
    await sent(servers, a_report("a", "complete"))
    assert servers.heard == [(a_report("a", "complete"),)]


async def test_what_is_acknowledged_is_not_repeated_unless_asked_for() -> None:
    servers = Servers()
    reporter = await sent(servers, a_report("a", "running"))
    assert reporter.is_acknowledged(a_report("a", "running"))
    running = asyncio.ensure_future(reporter.run())
    reporter.note(a_report("a", "running"))
    await reporter.flushed()
    assert len(servers.heard) == 1
    reporter.note(a_report("a", "running"), again=True)
    async with asyncio.timeout(10):
        await reporter.flushed()
    assert len(servers.heard) == 2
    running.cancel()
