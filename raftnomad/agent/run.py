"""The agent as a process: signals, the log, and the exit code."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable

import msgspec

from raftnomad.agent import logs
from raftnomad.agent.agent import Agent
from raftnomad.config import Configuration
from raftnomad.errors import RaftnomadError

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 20.0


class Process:
    """One run of the agent. SIGINT and SIGTERM end it, SIGHUP reads the configuration again."""

    def __init__(self, load: Callable[[], Configuration]) -> None:
        self._load = load
        self._ended = asyncio.Event()
        self._leave = False
        self._failure = ""

    async def run(self, configuration: Configuration) -> int:
        config = configuration.agent
        if configuration.without_effect:
            logger.warning("these keys have no effect yet: %s", ", ".join(configuration.without_effect))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._end, "SIGINT", config.leave_on_interrupt)
        loop.add_signal_handler(signal.SIGTERM, self._end, "SIGTERM", config.leave_on_terminate)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        agent = Agent(config, self._fail, reload=self._reload)
        await agent.start()
        try:
            await self._ended.wait()
        finally:
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await agent.stop(self._leave)
            except TimeoutError:
                logger.error("the agent did not end in order within %g s", STOP_TIMEOUT_S)
        return 1 if self._failure else 0

    def _end(self, name: str, leave: bool) -> None:
        if self._ended.is_set():
            logger.warning("%s again: ending at once", name)
            sys.exit(1)
        logger.info("%s: the agent ends%s", name, " and leaves the cluster" if leave else "")
        self._leave = leave
        self._ended.set()

    def _fail(self, reason: str) -> None:
        logger.critical("the agent can't go on: %s", reason)
        self._failure = reason
        self._ended.set()

    def _on_hangup(self) -> None:
        try:
            self._reload()
        except RaftnomadError as wrong:
            logger.error("SIGHUP: the configuration is wrong and the old one stays: %s", wrong)

    def _reload(self) -> None:
        """Raises ConfigurationError."""
        config = self._load().agent
        logs.set_level(config.log_level)
        logger.info("read the configuration again; of what changed, log_level is in force at once")


def run(load: Callable[[], Configuration]) -> int:
    """Run until a signal ends it; returns the exit code.

    Raises ConfigurationError and DataDirectoryError when it cannot start.
    """

    def named() -> Configuration:
        configuration = load()
        agent = configuration.agent
        name = agent.name or socket.gethostname()
        return dataclasses.replace(configuration, agent=msgspec.structs.replace(agent, name=name))

    configuration = named()
    logs.set_up(configuration.agent)
    # Most objects live as long as the agent; scanning them again and again would only stop the world.
    gc.set_threshold(50_000, 20, 100)

    async def process() -> int:
        return await Process(named).run(configuration)

    return asyncio.run(process())
