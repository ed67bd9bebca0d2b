"""Lists: prefix, filter, order, pages.

A page's token names the first item of the next page, so that items which come or go in between do not shift it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from raftnomad.api.filters import Filter
from raftnomad.api.query import namespace_of
from raftnomad.errors import BadRequest, RaftnomadError
from raftnomad.model.row import Row
from raftnomad.web import Request

R = TypeVar("R", bound=Row)


class Page(NamedTuple, Generic[R]):
    rows: list[R]
    next_token: str


class Order(NamedTuple):
    """How a list is ordered, and how a place in it is written as a token."""

    key: Callable[[Any], Any]
    token: Callable[[Any], str]
    key_of_token: Callable[[str], Any]


def _creation_of_token(token: str) -> tuple[int, str]:
    index, _, identifier = token.partition(".")
    # A token without a number is beyond every row, as text is beyond digits.
    return (int(index), identifier) if index.isascii() and index.isdigit() else (2**64, token)


BY_CREATION = Order(
    lambda row: (row.create_index, row.id), lambda row: f"{row.create_index}.{row.id}", _creation_of_token
)
BY_ID = Order(lambda row: row.id, lambda row: row.id, str)
BY_NAME = Order(lambda row: row.name, lambda row: row.name, str)
BY_NAMESPACE_AND_ID = Order(lambda row: f"{row.namespace}.{row.id}", lambda row: f"{row.namespace}.{row.id}", str)


class Listing:
    """The parameters of one list request, read before anything else so that bad ones are answered at once."""

    def __init__(self, request: Request, row_type: type[Row]) -> None:
        self.namespace = namespace_of(request)
        self.prefix = request.get("prefix")
        self.reverse = request.get("reverse") == "true"
        self._per_page = _per_page(request.get("per_page"))
        self._next_token = request.get("next_token")
        expression = request.get("filter")
        self._filter = Filter(expression, row_type) if expression else None

    def in_namespace(self, row: Any) -> bool:
        return self.namespace == "*" or row.namespace == self.namespace

    def page(self, rows: Iterable[R], order: Order) -> Page[R]:
        """Sorted, from the token on, filtered, at most a page of them."""
        ordered = sorted(rows, key=order.key, reverse=self.reverse)
        start = order.key_of_token(self._next_token) if self._next_token else None
        page: list[R] = []
        for row in ordered:
            if start is not None and self._before(order.key(row), start):
                continue
            if self._filter is not None and not self._filter(row):
                continue
            if self._per_page and len(page) >= self._per_page:
                return Page(page, order.token(row))
            page.append(row)
        return Page(page, "")

    def _before(self, key: Any, start: Any) -> bool:
        return bool(key > start) if self.reverse else bool(key < start)


def _per_page(text: str) -> int:
    if text == "":
        return 0
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII) or not -(2**31) <= int(text) < 2**31:
        raise BadRequest("Expect a number for `per_page` query string parameter")
    return int(text)


def check_id_prefix(prefix: str, lookup: str) -> None:
    """Ids are looked up by their bytes, so half a byte or a letter beyond f is an error: 500, as Nomad has it.

    lookup: how the error begins, e.g. `alloc lookup failed: `.
    """
    if prefix.count("-") > 4:
        raise RaftnomadError(f'{lookup}index error: UUID should have maximum of 4 "-"; got {prefix.count("-")}')
    digits = prefix.replace("-", "")
    if len(digits) % 2:
        raise RaftnomadError(f"{lookup}index error: Input (without hyphens) must be even length")
    _check_hex(digits, lookup)


def check_id(identifier: str, lookup: str) -> None:
    if len(identifier.encode()) != 36:
        raise RaftnomadError(f"{lookup}index error: UUID must be 36 characters")
    _check_hex(identifier.replace("-", ""), lookup)


def _check_hex(digits: str, lookup: str) -> None:
    for character in digits:
        if character not in "0123456789abcdefABCDEF":
            code = f"U+{ord(character):04X}"
            raise RaftnomadError(f"{lookup}index error: Invalid UUID: encoding/hex: invalid byte: {code} '{character}'")
