from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from raftnomad.agent import logs
from raftnomad.config.settings import AgentConfig

logger = logging.getLogger("raftnomad.somewhere")


@pytest.fixture(autouse=True)
def _warnings_only() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.set_up(AgentConfig(log_level="WARN"))
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("raftnomad").setLevel(logging.NOTSET)


async def test_one_who_follows_the_log_chooses_the_level_and_the_agents_own_log_keeps_its() -> None:
    lines = logs.lines("DEBUG", False)
    first = asyncio.ensure_future(anext(lines))
    await asyncio.sleep(0)
    logger.debug("a detail")
    logger.error("a failure")
    assert (await first).endswith("[DEBUG] somewhere: a detail")
    assert (await anext(lines)).endswith("[ERROR] somewhere: a failure")
    assert logging.getLogger().handlers[0].level == logging.WARNING
    await lines.aclose()
    assert logger.getEffectiveLevel() == logging.WARNING


async def test_lines_may_be_json() -> None:
    lines = logs.lines("INFO", True)
    first = asyncio.ensure_future(anext(lines))
    await asyncio.sleep(0)
    logger.info("hello")
    assert json.loads(await first)["@message"] == "hello"
    await lines.aclose()


async def test_one_who_reads_too_slowly_loses_the_oldest_lines() -> None:
    lines = logs.lines("INFO", False)
    first = asyncio.ensure_future(anext(lines))
    await asyncio.sleep(0)
    for number in range(logs.TAP_LINES_MAX + 5):
        logger.info("line %d", number)
    assert (await first).endswith("line 5")
    await lines.aclose()
