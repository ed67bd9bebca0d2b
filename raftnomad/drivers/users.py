"""Users of this machine: whom a task may run as, and what the agent has to be for that."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence

from raftnomad.drivers.driver import DriverError
from raftnomad.drivers.executor import User


def find_user(name: str, denied_uids: Sequence[range], denied_gids: Sequence[range]) -> User | None:
    """The user that a task names; None stands for the agent's own, who needs no change. Raises DriverError."""
    user = _lookup(name) if name else _own()
    if any(user.uid in denied for denied in denied_uids):
        raise DriverError(f"failed host user validation: running as uid {user.uid} is disallowed")
    for gid in sorted({user.gid, *user.groups}):
        if any(gid in denied for denied in denied_gids):
            raise DriverError(f"failed host user validation: running as gid {gid} is disallowed")
    if user.uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise DriverError(
            f'cannot run as user "{name}": only an agent that runs as root can, and this one runs as uid {os.geteuid()}'
        )
    return user


def parse_ranges(text: str, key: str) -> list[range]:
    """ "1-10,99" as ranges; raises DriverError that names the key of the agent's configuration."""
    ranges = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
            raise DriverError(f'{key}: "{part}" is neither an id nor a range of ids')
        ranges.append(range(int(first), int(last or first) + 1))
    return ranges


def _lookup(name: str) -> User:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise DriverError(
            f'failed host user validation: failed to identify user "{name}": user: unknown user {name}'
        ) from None
    return User(name=name, uid=entry.pw_uid, gid=entry.pw_gid, groups=os.getgrouplist(name, entry.pw_gid))


def _own() -> User:
    return User(name="", uid=os.geteuid(), gid=os.getegid(), groups=[gid for gid in os.getgroups() if _exists(gid)])


def _exists(gid: int) -> bool:
    try:
        grp.getgrgid(gid)
    except KeyError:
        return False
    return True
