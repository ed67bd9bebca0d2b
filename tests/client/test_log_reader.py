from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from raftnomad.client.log_reader import LogFile, read_file, read_log, start_of

FILES = [LogFile(index=2, size=10), LogFile(index=3, size=5)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    logs = tmp_path / "alloc" / "logs"
    logs.mkdir(parents=True)
    for index, text in ((9, "nine "), (10, "ten "), (11, "eleven")):
        (logs / f"web.stdout.{index}").write_text(text)
    (logs / "web.stderr.0").write_text("error")
    (logs / ".web.stdout.fifo").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("offset", "origin", "start"),
    [
        (0, "start", (2, 0)),
        (9, "start", (2, 9)),
        (10, "start", (3, 0)),
        (99, "start", (3, 5)),
        (3, "end", (3, 2)),
        (7, "end", (2, 8)),
        (0, "end", (2, 0)),
        (99, "end", (2, 0)),
        (-3, "start", (3, 2)),
    ],
)
def test_an_offset_counts_across_all_files(offset: int, origin: str, start: tuple[int, int]) -> None:
    assert start_of(FILES, offset, origin) == start


async def test_rotated_files_are_read_in_the_order_of_their_numbers(root: Path) -> None:
    pieces = [
        piece
        async for piece in read_log(root, "web", "stdout", offset=0, origin="start", follow=False, ended=lambda: False)
    ]
    assert b"".join(piece.data for piece in pieces) == b"nine ten eleven"
    assert [(piece.file, piece.offset) for piece in pieces][-1] == ("alloc/logs/web.stdout.11", 6)


async def test_following_sees_what_is_written_and_the_next_file_and_then_the_end(root: Path) -> None:
    over = asyncio.Event()
    read = b""
    log = root / "alloc" / "logs" / "web.stdout.11"
    async for piece in read_log(root, "web", "stdout", offset=6, origin="end", follow=True, ended=over.is_set):
        read += piece.data
        if read == b"eleven":
            with log.open("a") as file:
                file.write("!")
            log.with_suffix(".12").write_text("twelve")
        if read.endswith(b"twelve"):
            over.set()
    assert read == b"eleven!twelve"


async def test_a_followed_file_tells_of_its_truncation_and_its_end(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("long text")
    events = []
    async for piece in read_file(tmp_path, "x", offset=0, origin="start", follow=True):
        events.append(piece.event or piece.data.decode())
        if events == ["long text"]:
            file.write_text("new")
        elif events[-1] == "new":
            file.unlink()
    assert events == ["long text", "file truncated", "new", "file deleted"]
