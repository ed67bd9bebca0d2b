"""Functions that make identifiers; the ones by chance get it handed in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from raftnomad.hcl.calls import Function, FunctionError, Parameter

_NAMESPACES = {
    "dns": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "url": "6ba7b811-9dad-11d1-80b4-00c04fd430c8",
    "oid": "6ba7b812-9dad-11d1-80b4-00c04fd430c8",
    "x500": "6ba7b814-9dad-11d1-80b4-00c04fd430c8",
}


def identifier_functions(random_bytes: Callable[[int], bytes]) -> dict[str, Function]:
    return {
        "uuidv4": Function(apply=lambda: _uuid(random_bytes(16), 4)),
        "uuidv5": Function(parameters=(Parameter("namespace", "string"), Parameter("name", "string")), apply=_uuidv5),
    }


def _uuidv5(namespace: str, name: str) -> str:
    digits = _NAMESPACES.get(namespace, namespace).replace("-", "")
    try:
        space = bytes.fromhex(digits)
        if len(space) != 16:
            raise ValueError
    except ValueError:
        message = f"uuidv5() doesn't support namespace {namespace} (invalid UUID length: {len(namespace)})"
        raise FunctionError(message) from None
    return _uuid(hashlib.sha1(space + name.encode(), usedforsecurity=False).digest()[:16], 5)


def _uuid(data: bytes, version: int) -> str:
    """The text form of 16 bytes, with the version and the variant of RFC 4122 set in them."""
    number = int.from_bytes(data, "big")
    number = number & ~(0xF << 76) | version << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
