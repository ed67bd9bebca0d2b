"""A command in a container: the engine runs it, on one connection that carries its three streams."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence

from raftnomad.drivers.docker.engine import Engine
from raftnomad.drivers.driver import DriverError, Streams

STDERR = 2

LOOK_AGAIN_S = 0.1

END_PATIENCE_S = 10.0
"""How long the engine may take to know the exit code of a command whose output has ended."""


async def execute(engine: Engine, container_id: str, command: Sequence[str], streams: Streams) -> int:
    """Run the command and give its exit code; raises EngineError, EngineDown and DriverError.

    The engine has no way to end a command: one that is cancelled loses its streams, and ends with its container at
    the latest.
    """
    created = await engine.call(lambda client: client.exec_create(container_id, list(command), stdin=True))
    async with engine.hijack(f"/exec/{created['Id']}/start", {"Detach": False, "Tty": False}) as (reader, writer):
        feeding = asyncio.ensure_future(_feed(writer, streams.stdin))
        try:
            await _copy(reader, streams)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
    return await _exit_code(engine, created["Id"])


async def _feed(writer: asyncio.StreamWriter, data: AsyncIterator[bytes]) -> None:
    try:
        async for part in data:
            writer.write(part)
            await writer.drain()
        # Over TLS one direction can't be closed alone: there the command does not hear of the end of its input.
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        return


async def _copy(reader: asyncio.StreamReader, streams: Streams) -> None:
    """Every piece of output says which stream it is, and how long."""
    while head := await reader.read(8):
        kind, length = struct.unpack(">BxxxI", head + await reader.readexactly(8 - len(head)))
        piece = await reader.readexactly(length)
        await (streams.stderr(piece) if kind == STDERR else streams.stdout(piece))


async def _exit_code(engine: Engine, exec_id: str) -> int:
    for _ in range(int(END_PATIENCE_S / LOOK_AGAIN_S)):
        found = await engine.call(lambda client: client.exec_inspect(exec_id))
        if not found["Running"]:
            return int(found["ExitCode"] or 0)
        await asyncio.sleep(LOOK_AGAIN_S)
    raise DriverError("the command closed its output, and has not ended since")
