"""The agent's log: to stderr and, with `log_file`, to a file; as text or JSON lines; its level can be changed."""

from __future__ import annotations

import asyncio
import collections
import json
import logging
import logging.handlers
import os
import sys
import time
from collections.abc import AsyncGenerator

from raftnomad.config.settings import AgentConfig
from raftnomad.errors import ConfigurationError

TAP_LINES_MAX = 2000

_LEVELS = {
    "OFF": logging.CRITICAL + 10,
    "TRACE": 5,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}
_NAMES = {5: "TRACE", logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN", logging.ERROR: "ERROR"}


class TextFormatter(logging.Formatter):
    """`2026-11-24T04:27:05.123Z [INFO]  raft.node: text`."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        when = self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{record.msecs:03.0f}Z"
        level = f"[{_NAMES.get(record.levelno, 'ERROR')}]".ljust(7)
        text = f"{when} {level} {_short(record.name)}: {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "@level": _NAMES.get(record.levelno, "ERROR").lower(),
            "@message": record.getMessage(),
            "@module": _short(record.name),
            "@timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{record.msecs:03.0f}Z",
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _short(name: str) -> str:
    return name.removeprefix("raftnomad.")


def set_up(config: AgentConfig) -> None:
    """Raises ConfigurationError when the log file cannot be written."""
    formatter = JsonFormatter() if config.log_json else TextFormatter()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if config.log_file:
        path = os.path.join(config.log_file, "nomad.log") if config.log_file.endswith("/") else config.log_file
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            handlers.append(
                logging.handlers.RotatingFileHandler(
                    path, maxBytes=config.log_rotate_bytes, backupCount=max(config.log_rotate_max_files, 1)
                )
            )
        except OSError as error:
            raise ConfigurationError(f"log_file: {path} can't be written: {error.strerror}") from error
    root = logging.getLogger()
    for handler in handlers:
        handler.setFormatter(formatter)
    root.handlers[:] = handlers
    set_level(config.log_level)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    logging.getLogger("docker").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def set_level(level: str) -> None:
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, _Tap):
            handler.setLevel(_LEVELS[level.upper()])
    _set_loggers()


def _set_loggers() -> None:
    """As low as the most curious of those who listen and have said at which level."""
    levels = [handler.level for handler in logging.getLogger().handlers if handler.level]
    lowest = min(levels, default=logging.INFO)
    logging.getLogger("raftnomad").setLevel(lowest)
    logging.getLogger().setLevel(max(lowest, logging.INFO))


class _Tap(logging.Handler):
    """Lines for one who follows the log. One who reads too slowly loses the oldest."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: collections.deque[str] = collections.deque(maxlen=TAP_LINES_MAX)
        self.more = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        self._loop.call_soon_threadsafe(self.more.set)


async def lines(level: str, as_json: bool) -> AsyncGenerator[str]:
    """What is logged from now on, at this level and above, whatever level the agent's own log has."""
    tap = _Tap(_LEVELS[level])
    tap.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.getLogger().addHandler(tap)
    _set_loggers()
    try:
        while True:
            await tap.more.wait()
            tap.more.clear()
            while tap.lines:
                yield tap.lines.popleft()
    finally:
        logging.getLogger().removeHandler(tap)
        _set_loggers()
