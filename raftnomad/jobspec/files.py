"""The functions that look at files, for whoever parses job files on a machine of their own; servers have none of them.

Paths are relative to the folder that the command runs in, not to the job file's.
"""

from __future__ import annotations

import base64
import os
import posixpath
import re
import stat
from collections.abc import Callable
from pathlib import Path

from raftnomad.hcl.calls import Function, FunctionError, Parameter
from raftnomad.hcl.values import Value, make_set

_PATH = Parameter("path", "string")
FILE_BYTES_MAX = 16 * 1024 * 1024


def _read(given: str) -> bytes:
    path = os.path.normpath(_expanded(given))
    try:
        if os.path.getsize(path) > FILE_BYTES_MAX:
            raise FunctionError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FunctionError(f"no file exists at {path}") from None
    except OSError:
        raise FunctionError(f"failed to read {path}") from None


def _file(path: str) -> str:
    try:
        return _read(path).decode()
    except UnicodeDecodeError:
        raise FunctionError(f"contents of {path} are not valid UTF-8") from None


def _fileexists(path: str) -> bool:
    try:
        mode = os.stat(_expanded(path)).st_mode
    except FileNotFoundError:
        return False
    except OSError:
        raise FunctionError(f"failed to stat {path}") from None
    if not stat.S_ISREG(mode):
        raise FunctionError(f'{path} is not a regular file, but "{stat.filemode(mode)}"')
    return True


def _fileset(path: str, pattern: str) -> Value:
    """The files below a folder whose paths match; `**` spans folders, `{a,b}` is a choice."""
    start = _expanded(path)
    whole = posixpath.normpath(f"{start}/{pattern}")
    expression = _glob(whole)
    if expression is None:
        raise FunctionError(f"failed to glob pattern ({whole}): syntax error in pattern")
    plain = re.match(r"[^*?\[{]*", whole)
    assert plain is not None
    found: list[Value] = []
    for folder, _, names in os.walk(posixpath.dirname(plain[0]) or "."):
        for name in names:
            full = os.path.normpath(os.path.join(folder, name))
            if expression.fullmatch(full) and os.path.isfile(full):
                found.append(os.path.relpath(full, start))
    return make_set(found, "string")


def _glob(pattern: str) -> re.Pattern[str] | None:
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**/", position):
            parts.append("(?:[^/]+/)*")
            position += 2
        elif pattern.startswith("**", position):
            parts.append(".*")
            position += 1
        elif character in "*?":
            parts.append("[^/]*" if character == "*" else "[^/]")
        elif character in "[{":
            end = pattern.find("]" if character == "[" else "}", position)
            if end < 0:
                return None
            inside = pattern[position + 1 : end]
            if character == "[":
                parts.append("[" + inside.replace("\\", "\\\\").replace("!", "^", 1) + "]")
            else:
                parts.append("(?:" + "|".join(map(re.escape, inside.split(","))) + ")")
            position = end
        else:
            parts.append(re.escape(character))
        position += 1
    return re.compile("".join(parts), re.S)


def _expanded(path: str) -> str:
    if not path.startswith("~"):
        return path
    if path != "~" and not path.startswith("~/"):
        raise FunctionError("cannot expand user-specific home dir")
    return os.path.expanduser(path)


def _basename(path: str) -> str:
    return posixpath.basename(path.rstrip("/")) or ("/" if path else ".")


def _dirname(path: str) -> str:
    return posixpath.normpath(posixpath.dirname(path) or ".")


def _disabled(*_arguments: Value) -> Value:
    raise FunctionError("filesystem function disabled")


FILE_FUNCTIONS: dict[str, Function] = {
    "abspath": Function(parameters=(_PATH,), apply=os.path.abspath),
    "basename": Function(parameters=(_PATH,), apply=_basename),
    "dirname": Function(parameters=(_PATH,), apply=_dirname),
    "file": Function(parameters=(_PATH,), apply=_file),
    "filebase64": Function(parameters=(_PATH,), apply=lambda path: base64.b64encode(_read(path)).decode()),
    "fileexists": Function(parameters=(_PATH,), apply=_fileexists),
    "fileset": Function(parameters=(_PATH, Parameter("pattern", "string")), apply=_fileset),
    "pathexpand": Function(parameters=(_PATH,), apply=_expanded),
}

_Apply = Callable[..., Value]

DISABLED_FILE_FUNCTIONS: dict[str, Function] = {
    name: Function(parameters=function.parameters, apply=_disabled) for name, function in FILE_FUNCTIONS.items()
}
