"""The Docker engine: requests through the `docker` package in threads, endless streams over plain connections.

The only home of the `docker` package. A request that the engine answers with an error is an `EngineError` with its
status; an engine that does not answer is `EngineDown`. Streams (logs, events) do not use the package, which would
need a thread for each; they are read by the event loop.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import docker
import docker.errors
import docker.tls
import requests.exceptions

from raftnomad.drivers.docker.settings import Settings

T = TypeVar("T")

REQUEST_TIMEOUT_S = 60

PROBE_TIMEOUT_S = 10.0

REQUESTS_AT_ONCE = 16

PULLS_AT_ONCE = 4

STREAM_CHUNK_BYTES = 65536


class EngineError(Exception):
    """What the engine answered, in its words."""

    def __init__(self, status: int, explanation: str) -> None:
        super().__init__(f"Error response from daemon: {explanation}")
        self.status = status


class EngineDown(Exception):
    """The engine does not answer."""


class Engine:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None
        self._requests = ThreadPoolExecutor(REQUESTS_AT_ONCE, "docker")
        self._pulls = ThreadPoolExecutor(PULLS_AT_ONCE, "docker-pull")

    async def call(self, request: Callable[[Any], T], timeout_s: float | None = None) -> T:
        """Run `request(client)` in a thread; the client is the package's low-level `APIClient`."""
        return await self._run(self._requests, request, timeout_s)

    async def call_slowly(self, request: Callable[[Any], T], timeout_s: float | None = None) -> T:
        """As `call`, for what takes minutes and must not be in the way of others."""
        return await self._run(self._pulls, request, timeout_s)

    async def _run(self, threads: ThreadPoolExecutor, request: Callable[[Any], T], timeout_s: float | None) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                return await loop.run_in_executor(threads, lambda: request(self._connected()))
        except TimeoutError as error:
            raise EngineDown("the engine does not answer in time") from error
        except docker.errors.APIError as error:
            raise EngineError(error.status_code or 500, str(error.explanation or error).strip()) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            self._client = None
            raise EngineDown(str(error)) from error

    def _connected(self) -> Any:
        if self._client is None:
            tls = self._settings.tls
            client = docker.APIClient(
                base_url=self._settings.endpoint,
                version="auto",
                timeout=REQUEST_TIMEOUT_S,
                tls=docker.tls.TLSConfig(
                    client_cert=(tls["cert"], tls["key"]) if "cert" in tls else None,
                    ca_cert=tls.get("ca"),
                    verify=True,
                )
                if tls
                else False,
            )
            if self._settings.auth_file:
                client.reload_config(dockercfg_path=self._settings.auth_file)
            self._client = client
        return self._client

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[AsyncIterator[bytes], None]:
        """The body of a GET whose answer has no end, as it arrives. Inside the block, the engine has begun to answer;
        it may take its time for that, so the caller sets the time-outs."""
        reader, writer = await self._open()
        try:
            target = f"{path}?{urllib.parse.urlencode(query)}"
            writer.write(f"GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode())
            status, headers = await _read_head(reader)
            body = _chunks(reader) if "chunked" in headers.get("transfer-encoding", "") else _until_end(reader)
            if status != 200:
                raise EngineError(status, _message(b"".join([part async for part in body])))
            yield body
        except (OSError, EOFError, ValueError) as error:
            raise EngineDown(str(error)) from error
        finally:
            writer.close()

    @asynccontextmanager
    async def hijack(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
        """A POST after which the connection belongs to the caller, both ways."""
        reader, writer = await self._open()
        try:
            text = json.dumps(body).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
            writer.write(head.encode() + text)
            status, headers = await _read_head(reader)
            if status not in (101, 200):
                raise EngineError(status, _message(await reader.readexactly(int(headers.get("content-length", 0)))))
            yield reader, writer
        except (OSError, EOFError, ValueError) as error:
            raise EngineDown(str(error)) from error
        finally:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = urllib.parse.urlsplit(self._settings.endpoint)
        try:
            # Not `wait_for`, which may swallow a cancellation.
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                if url.scheme in ("unix", "http+unix"):
                    return await asyncio.open_unix_connection(url.path)
                context = _tls_context(self._settings.tls) if self._settings.tls else None
                return await asyncio.open_connection(url.hostname, url.port or 2375, ssl=context)
        except (OSError, TimeoutError) as error:
            raise EngineDown(str(error)) from error

    def close(self) -> None:
        self._requests.shutdown(wait=False, cancel_futures=True)
        self._pulls.shutdown(wait=False, cancel_futures=True)
        client, self._client = self._client, None
        if client is not None:
            client.close()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    return int(head[0].split(" ")[1]), headers


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        while size:
            part = await reader.read(min(size, STREAM_CHUNK_BYTES))
            if not part:
                raise EOFError("the engine broke off")
            size -= len(part)
            yield part
        await reader.readexactly(2)


async def _until_end(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while part := await reader.read(STREAM_CHUNK_BYTES):
        yield part


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()


def _tls_context(tls: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.get("ca"))
    if "cert" in tls:
        context.load_cert_chain(tls["cert"], tls.get("key"))
    return context
