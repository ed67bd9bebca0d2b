"""A command beside a task: its streams are pipes of the agent, which the executor only passes on to it.

So the executor copies nothing, and whoever reads slowly slows down the command alone.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from io import FileIO
from typing import Any

from raftnomad.drivers import frames
from raftnomad.drivers.driver import Streams

READ_BYTES = 65536

SILENCE_AT_END_S = 0.5
"""After the command's end, how long its output may be silent while something that it left behind keeps it open."""

Take = Callable[[bytes], Awaitable[None]]


async def execute(connection: socket.socket, request: Mapping[str, Any], streams: Streams) -> frames.Message:
    """Ask an executor for a command and stay until it has ended; gives the executor's answer.

    Raises OSError when there is none. Being cancelled closes the connection, which ends the command.
    """
    stdin, stdout, stderr = _ask(connection, request)
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    feeding = asyncio.ensure_future(_feed(stdin, streams.stdin))
    outputs = [_Output(stdout, streams.stdout), _Output(stderr, streams.stderr)]
    try:
        answer = await _answer(reader)
        await _drain(outputs)
        return answer
    finally:
        working = [feeding, *(output.copying for output in outputs)]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        writer.close()


def _ask(connection: socket.socket, request: Mapping[str, Any]) -> tuple[FileIO, FileIO, FileIO]:
    """Send the request with one end of each of three pipes; gives the other ends."""
    stdin, stdout, stderr = (os.pipe2(os.O_CLOEXEC) for _ in range(3))
    theirs, ours = (stdin[0], stdout[1], stderr[1]), (FileIO(stdin[1], "w"), FileIO(stdout[0]), FileIO(stderr[0]))
    message = frames.encode(request)
    try:
        sent = socket.send_fds(connection, [message], theirs)
        connection.sendall(message[sent:])
    except OSError:
        connection.close()
        for file in ours:
            file.close()
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return ours


async def _answer(reader: asyncio.StreamReader) -> frames.Message:
    try:
        length = frames.body_length(await reader.readexactly(4))
        return frames.decode(await reader.readexactly(length))
    except (EOFError, ValueError, frames.BrokenFrame) as error:
        raise OSError("the executor broke off") from error


async def _feed(file: FileIO, data: AsyncIterator[bytes]) -> None:
    """Write what arrives until there is no more of it, or nobody reads it any longer."""
    loop = asyncio.get_running_loop()
    with file:
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), file
        )
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        try:
            async for part in data:
                writer.write(part)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError:
            return
        finally:
            transport.abort()


class _Output:
    """One of the command's outputs on its way to whoever asked for it."""

    def __init__(self, file: FileIO, take: Take) -> None:
        self.bytes = 0
        self.handing_over = False
        self.copying = asyncio.ensure_future(self._copy(file, take))

    async def _copy(self, file: FileIO, take: Take) -> None:
        reader = asyncio.StreamReader()
        with file:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), file
            )
            try:
                while data := await reader.read(READ_BYTES):
                    self.bytes += len(data)
                    self.handing_over = True
                    await take(data)
                    self.handing_over = False
            finally:
                transport.close()


async def _drain(outputs: list[_Output]) -> None:
    """Until both outputs have ended, or nothing more comes of them."""
    copying = {output.copying for output in outputs}
    silent = False
    while copying and not silent:
        before = sum(output.bytes for output in outputs)
        _, copying = await asyncio.wait(copying, timeout=SILENCE_AT_END_S)
        silent = before == sum(output.bytes for output in outputs) and not any(o.handing_over for o in outputs)
    for output in outputs:
        if output.copying.done():
            # Whoever takes the output may have failed.
            output.copying.result()
