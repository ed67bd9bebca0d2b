from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from raftnomad.api.compression import accepted_encoding
from raftnomad.api.serve import HttpServer, Limits, parse_query
from raftnomad.errors import NotFound
from raftnomad.web import Answer, Handler, Request, Response, Stream

Serve = Callable[..., Awaitable[int]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[HttpServer] = []

    async def start(handler: Handler, **limits: float) -> int:
        server = HttpServer(handler, limits=Limits(**limits))  # type: ignore[arg-type]
        servers.append(server)
        return await server.listen_on("127.0.0.1", 0)

    yield start
    for server in servers:
        await server.stop(0)


async def echo(request: Request) -> Answer:
    text = f"{request.method} {request.path} {request.query} {request.body.decode()}"
    return Response(body=text.encode(), content_type="text/plain", headers={"X-Remote": request.remote})


async def send(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def test_a_request_arrives_whole_and_its_answer_too(serve: Serve) -> None:
    port = await serve(echo)
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"http://127.0.0.1:{port}/v1/job/a%2Fb?x=1&x=2&y", data=b"body") as answer,
    ):
        assert await answer.text() == "PUT /v1/job/a/b (('x', '1'), ('x', '2'), ('y', '')) body"
        assert (answer.headers["X-Remote"], answer.headers["Vary"]) == ("127.0.0.1", "Accept-Encoding")
        assert "Server" not in answer.headers


async def test_an_empty_answer_has_no_content_type(serve: Serve) -> None:
    async def nothing(_request: Request) -> Answer:
        return Response()

    port = await serve(nothing)
    answer = await send(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-type" not in head.lower()
    assert body == b""


@pytest.mark.parametrize("method", ["HEAD"])
async def test_the_answer_to_head_has_no_body(serve: Serve, method: str) -> None:
    port = await serve(echo)
    answer = await send(port, b"HEAD /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(serve: Serve) -> None:
    port = await serve(echo, body_bytes_max=1000)
    answer = await send(port, b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"larger than 1000 bytes" in answer


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit(serve: Serve) -> None:
    port = await serve(echo, body_bytes_max=1000)
    chunk = b"400\r\n" + b"x" * 0x400 + b"\r\n"
    answer = await send(port, b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 4)
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_body_that_does_not_come_is_given_up(serve: Serve) -> None:
    port = await serve(echo, body_timeout_s=0.05)
    answer = await send(port, b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"did not arrive within" in answer


async def test_headers_that_do_not_come_close_the_connection(serve: Serve) -> None:
    port = await serve(echo, header_timeout_s=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost:")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    writer.close()


async def test_headers_of_a_second_request_have_a_deadline_too(serve: Serve) -> None:
    port = await serve(echo, header_timeout_s=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"GET /")
    await asyncio.sleep(0.2)  # Silence between requests is no fault.
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"GET /")
    writer.write(b"GET / HTTP/1.1\r\nHo")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readuntil(b"GET /"), 10)
    writer.close()


async def test_one_address_has_so_many_connections_and_no_more(serve: Serve) -> None:
    port = await serve(echo, connections_per_address_max=2)
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    assert (await send(port, b"")).startswith(b"HTTP/1.1 429")
    held[0][1].close()
    await held[0][1].wait_closed()
    for _ in range(100):
        answer = await send(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 429"):
            break
        await asyncio.sleep(0.01)
    assert answer.startswith(b"HTTP/1.1 200")
    held[1][1].close()


async def test_answers_are_compressed_as_the_client_likes(serve: Serve) -> None:
    async def long(_request: Request) -> Answer:
        return Response(body=b"nomad " * 40_000)

    port = await serve(long)
    for encoding, read in (("gzip", gzip.decompress), ("deflate", lambda data: zlib.decompress(data, -15))):
        answer = await send(
            port,
            f"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {encoding}\r\nConnection: close\r\n\r\n".encode(),
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        assert f"Content-Encoding: {encoding}".encode() in head
        assert read(body) == b"nomad " * 40_000


def test_the_encoding_is_the_clients_choice() -> None:
    assert accepted_encoding("deflate, gzip") == "gzip"
    assert accepted_encoding("gzip;q=0, deflate") == "deflate"
    assert accepted_encoding("br") == ""


def test_queries_are_read_as_go_reads_them() -> None:
    assert parse_query("a=1&b=x+y%20z&c&d=%zz&e=1;f=2&g=%") == (("a", "1"), ("b", "x y z"), ("c", ""))


async def frames(*parts: bytes | Exception, pause_s: float = 0) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(pause_s)
        if isinstance(part, Exception):
            raise part
        yield part


async def test_a_stream_is_sent_as_it_comes_and_ends_cleanly(serve: Serve) -> None:
    more = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"
        await more.wait()
        yield b'{"a":1}'

    async def stream(_request: Request) -> Answer:
        return Stream(frames=pieces())

    port = await serve(stream)
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
        assert await answer.content.readexactly(2) == b"{}"
        more.set()
        assert await answer.content.read() == b'{"a":1}'


async def test_an_error_before_a_streams_first_frame_keeps_its_status(serve: Serve) -> None:
    async def stream(_request: Request) -> Answer:
        return Stream(frames=frames(NotFound("no such task")))

    port = await serve(stream)
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
        assert (answer.status, await answer.text()) == (404, "no such task")


async def test_an_error_within_a_stream_is_no_clean_end(serve: Serve) -> None:
    async def stream(_request: Request) -> Answer:
        return Stream(frames=frames(b"{}", NotFound("gone")))

    port = await serve(stream)
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
        with pytest.raises(aiohttp.ClientError):
            await answer.content.read()


async def test_a_stream_ends_when_its_client_goes(serve: Serve) -> None:
    closed = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"{}"
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    async def stream(_request: Request) -> Answer:
        return Stream(frames=pieces())

    port = await serve(stream)
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"http://127.0.0.1:{port}/")
        await answer.content.readexactly(2)
        answer.close()
    await asyncio.wait_for(closed.wait(), 10)


async def test_a_read_is_given_up_when_its_client_goes_and_a_write_is_not(serve: Serve) -> None:
    began, ended = asyncio.Event(), []

    async def slow(request: Request) -> Answer:
        began.set()
        try:
            await asyncio.sleep(0.2)
            ended.append(request.method)
        except asyncio.CancelledError:
            ended.append(f"{request.method} cancelled")
            raise
        return Response()

    port = await serve(slow)
    for method in ("GET", "PUT"):
        began.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        await began.wait()
        writer.transport.abort()
    for _ in range(100):
        if len(ended) == 2:
            break
        await asyncio.sleep(0.02)
    assert sorted(ended) == ["GET cancelled", "PUT"]


async def test_streams_end_cleanly_when_the_server_does() -> None:
    closed = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"{}"
            await asyncio.sleep(60)
        finally:
            closed.set()

    async def stream(_request: Request) -> Answer:
        return Stream(frames=pieces())

    server = HttpServer(stream)
    port = await server.listen_on("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
        assert await answer.content.readexactly(2) == b"{}"
        await server.stop()
        assert await answer.content.read() == b""
    assert closed.is_set()
