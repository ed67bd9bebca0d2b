"""What kind of content a file's first bytes are, in the words of Go's `http.DetectContentType`."""

from __future__ import annotations

SNIFFED = 512
TEXT, BINARY = "text/plain; charset=utf-8", "application/octet-stream"

_MARKS = (
    (b"\xef\xbb\xbf", TEXT),
    (b"\xfe\xff", "text/plain; charset=utf-16be"),
    (b"\xff\xfe", "text/plain; charset=utf-16le"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\x89PNG\x0d\x0a\x1a\x0a", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1a\x07\x00", "application/x-rar-compressed"),
    (b"\x00asm", "application/wasm"),
)
_TAGS = ("!doctype html", "html", "head", "body", "script", "iframe", "style", "title", "h1", "div", "font", "table")
_MARKUP = tuple(f"<{tag}".encode() for tag in (*_TAGS, "a", "b", "br", "p", "!--"))
_CONTROL = frozenset((*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)))


def detect(start: bytes) -> str:
    """The type of a file that begins like this; an empty one has none of its own."""
    start = start[:SNIFFED]
    for mark, kind in _MARKS:
        if start.startswith(mark):
            return kind
    text = start.lstrip(b"\t\n\x0c\r ")
    if text.startswith(b"<?xml"):
        return "text/xml; charset=utf-8"
    lowered = text.lower()
    if any(lowered.startswith(tag) and lowered[len(tag) : len(tag) + 1] in (b" ", b">") for tag in _MARKUP):
        return "text/html; charset=utf-8"
    return BINARY if any(byte in _CONTROL for byte in start) else TEXT


def harmless(kind: str) -> str:
    """The type under which a task's file may be shown in a browser: never one that it would run."""
    return "text/plain" if kind.startswith(("text/html", "text/xml", "image/svg")) else kind
