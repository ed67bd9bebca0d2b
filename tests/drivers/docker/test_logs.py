import struct

from raftnomad.drivers.docker.logs import Collector, Demultiplexer


def a_piece(kind: int, text: str) -> bytes:
    return struct.pack(">BxxxI", kind, len(text)) + text.encode()


def a_collector(tmp_path, tty=False) -> Collector:
    log = {"directory": str(tmp_path), "name": "t", "files": 2, "file_bytes": 1000}
    return Collector(log, tmp_path / "position", tty)


ONE = a_piece(1, "2026-01-01T00:00:00.000000001Z one\n")
TWO = a_piece(2, "2026-01-01T00:00:00.000000002Z two\n")


def test_pieces_are_told_apart_wherever_they_are_cut():
    data = ONE + TWO
    for cut in range(len(data)):
        demultiplexer = Demultiplexer(tty=False)
        found = [*demultiplexer.feed(data[:cut]), *demultiplexer.feed(data[cut:])]
        assert [(stream, piece) for stream, _, piece in found] == [("stdout", b"one\n"), ("stderr", b"two\n")]


def test_a_terminal_has_one_stream_in_lines():
    found = list(Demultiplexer(tty=True).feed(b"2026-01-01T00:00:00Z a\r\n2026-01-01T00:00:01Z b\n"))
    assert [(stream, piece) for stream, _, piece in found] == [("stdout", b"a\r\n"), ("stdout", b"b\n")]


def test_another_collector_goes_on_where_the_last_one_stopped(tmp_path):
    first = a_collector(tmp_path)
    assert first.since == "0"
    first.write(ONE)
    # Killed here: nothing is closed.
    second = a_collector(tmp_path)
    assert second.since == "1767225600.000000002"
    second.write(TWO)
    assert (tmp_path / "t.stdout.0").read_text() == "one\n"
    assert (tmp_path / "t.stderr.0").read_text() == "two\n"


def test_half_a_piece_at_the_end_of_a_stream_comes_again(tmp_path):
    collector = a_collector(tmp_path)
    collector.write(ONE + TWO[:10])
    collector.restart()
    collector.write(TWO)
    assert (tmp_path / "t.stderr.0").read_text() == "two\n"
