from __future__ import annotations

import pytest

from raftnomad.client.content_type import detect, harmless


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"one\ntwo\n", "text/plain; charset=utf-8"),
        (b"\xff\xfe\x00\x01", "text/plain; charset=utf-16le"),
        (b"<html><b>x</b></html>", "text/html; charset=utf-8"),
        (b"\x7fELF\x02\x01\x01\x00", "application/octet-stream"),
        (b"\x1f\x8b\x08\x00", "application/x-gzip"),
        (b"<button>", "text/plain; charset=utf-8"),
    ],
)
def test_types_are_told_from_the_first_bytes(start: bytes, kind: str) -> None:
    assert detect(start) == kind


def test_nothing_that_a_browser_runs_is_served_as_such() -> None:
    assert harmless("text/html; charset=utf-8") == "text/plain"
    assert harmless("image/png") == "image/png"
