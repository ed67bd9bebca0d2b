"""HCL1, the older form of the language: agent configuration, access rules. Text or JSON becomes plain values.

An object is a dict from each key to the list of its values in order, because a key may be repeated; a block with
labels nests: `plugin "docker" { ... }` is `{"plugin": [{"docker": [{...}]}]}`. Positions are Go's: line and column.
"""

from __future__ import annotations

import json
import re
from typing import Any

from raftnomad.errors import RaftnomadError

DEPTH_MAX = 64

Object = dict[str, list[Any]]


class LegacySyntaxError(RaftnomadError):
    """`At line:column: what was expected`."""


_BLANK = re.compile(r"(?:[\s,]|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_SPACE = re.compile(r"(?:\s|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.-]*")
_NUMBER = re.compile(r"-?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)")
_HEREDOC = re.compile(r"<<(-?)([A-Za-z_]\w*)\n")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def parse(text: str) -> Object:
    """A whole file, in HCL1 or in JSON. Raises LegacySyntaxError."""
    if text.lstrip().startswith("{"):
        return _parse_json(text)
    reader = _Reader(text.removeprefix("\ufeff"))
    return reader.items(closing="", depth=0)


def _parse_json(text: str) -> Object:
    try:
        value = json.loads(re.sub(r",(\s*[}\]])", r"\1", text))
    except ValueError as wrong:
        line, column = getattr(wrong, "lineno", 1), getattr(wrong, "colno", 1)
        raise LegacySyntaxError(f"At {line}:{column}: {getattr(wrong, 'msg', wrong)}") from wrong
    if not isinstance(value, dict):
        raise LegacySyntaxError("At 1:1: expected: IDENT | STRING | ASSIGN | LBRACE got: LBRACK")
    return _from_json(value)


def _from_json(value: dict[str, Any]) -> Object:
    """A list of objects stands for a repeated block."""
    result: Object = {}
    for key, one in value.items():
        if isinstance(one, list) and one and all(isinstance(item, dict) for item in one):
            result[key] = [_from_json(item) for item in one]
        else:
            result[key] = [_from_json(one) if isinstance(one, dict) else one]
    return result


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def items(self, closing: str, depth: int) -> Object:
        if depth > DEPTH_MAX:
            raise self._error(f"objects are nested more than {DEPTH_MAX} deep")
        found: Object = {}
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                if closing:
                    raise self._error("object expected closing RBRACE got: EOF")
                return found
            if closing and self._text[self._at] == closing:
                self._at += 1
                return found
            self._item(found, depth)

    def _item(self, into: Object, depth: int) -> None:
        keys = [self._key()]
        while True:
            self._skip(_SPACE)
            here = self._text[self._at : self._at + 1]
            if here == "=":
                self._at += 1
                value = self._value(depth)
                break
            if here == "{":
                self._at += 1
                value = self.items("}", depth + 1)
                break
            if here == "":
                raise self._error("key expected: ASSIGN | LBRACE got: EOF")
            keys.append(self._key())
        for key in reversed(keys[1:]):
            value = {key: [value]}
        into.setdefault(keys[0], []).append(value)

    def _key(self) -> str:
        if self._text.startswith('"', self._at):
            return self._string()
        if matched := _IDENTIFIER.match(self._text, self._at):
            self._at = matched.end()
            return matched[0]
        raise self._error(f"illegal character {self._text[self._at]!r} where a key is expected")

    def _value(self, depth: int) -> Any:
        self._skip(_SPACE)
        here = self._text[self._at : self._at + 1]
        if here == '"':
            return self._string()
        if here == "{":
            self._at += 1
            return self.items("}", depth + 1)
        if here == "[":
            self._at += 1
            return self._list(depth + 1)
        if matched := _HEREDOC.match(self._text, self._at):
            return self._heredoc(matched)
        if matched := _NUMBER.match(self._text, self._at):
            self._at = matched.end()
            return _number(matched[0])
        if (matched := _IDENTIFIER.match(self._text, self._at)) and matched[0] in ("true", "false"):
            self._at = matched.end()
            return matched[0] == "true"
        raise self._error("unknown token where a value is expected")

    def _list(self, depth: int) -> list[Any]:
        values: list[Any] = []
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                raise self._error("list expected closing RBRACK got: EOF")
            if self._text[self._at] == "]":
                self._at += 1
                return values
            values.append(self._value(depth))

    def _string(self) -> str:
        parts: list[str] = []
        start = self._at
        self._at += 1
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == '"':
                return "".join(parts)
            if character == "\n":
                break
            parts.append(self._escape() if character == "\\" else character)
        self._at = start
        raise self._error("literal not terminated")

    def _escape(self) -> str:
        character = self._text[self._at : self._at + 1]
        self._at += 1
        if character in ("u", "U"):
            length = 4 if character == "u" else 8
            digits = self._text[self._at : self._at + length]
            self._at += length
            try:
                return chr(int(digits, 16))
            except ValueError:
                raise self._error("illegal char escape") from None
        if character not in _ESCAPES:
            raise self._error("illegal char escape")
        return _ESCAPES[character]

    def _heredoc(self, matched: re.Match[str]) -> str:
        end = re.compile(rf"^[ \t]*{re.escape(matched[2])}[ \t]*$", re.MULTILINE)
        found = end.search(self._text, matched.end())
        if found is None:
            raise self._error("heredoc not terminated")
        body = self._text[matched.end() : found.start()]
        self._at = found.end()
        if not matched[1]:
            return body
        lines = body.splitlines(keepends=True)
        margin = min((len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()), default=0)
        return "".join(line[margin:] if line.strip() else line.lstrip(" \t") for line in lines)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if matched := pattern.match(self._text, self._at):
            self._at = matched.end()

    def _error(self, message: str) -> LegacySyntaxError:
        before = self._text[: self._at]
        return LegacySyntaxError(f"At {before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: {message}")


def _number(text: str) -> int | float:
    if text.lstrip("-").startswith("0x"):
        return int(text, 16)
    return float(text) if set(text) & set(".eE") else int(text)
