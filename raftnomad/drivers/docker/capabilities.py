"""Linux capabilities of a container: what the job asks for, within what the agent allows."""

from __future__ import annotations

from collections.abc import Collection

from raftnomad.drivers.docker.settings import DEFAULT_CAPS
from raftnomad.drivers.driver import DriverError

ENGINE_CAPS = (*DEFAULT_CAPS, "net_raw")
"""What the engine gives when nothing is said."""

ALL_CAPS = (
    *ENGINE_CAPS,
    *("audit_control", "audit_read", "block_suspend", "bpf", "checkpoint_restore", "dac_read_search", "ipc_lock"),
    *("ipc_owner", "lease", "linux_immutable", "mac_admin", "mac_override", "net_admin", "net_broadcast", "perfmon"),
    *("sys_admin", "sys_boot", "sys_module", "sys_nice", "sys_pacct", "sys_ptrace", "sys_rawio", "sys_resource"),
    *("sys_time", "sys_tty_config", "syslog", "wake_alarm"),
)


def capability_lists(
    add: Collection[str], drop: Collection[str], allowed: Collection[str]
) -> tuple[list[str], list[str]]:
    """The engine's CapAdd and CapDrop; raises DriverError that lists what the agent does not allow."""
    wanted = {_plain(name) for name in add}
    unwanted = {_plain(name) for name in drop}
    permitted = set(ALL_CAPS) if "all" in allowed else set(allowed)
    refused = (set(ALL_CAPS) if "all" in wanted else wanted) - permitted
    if refused:
        raise DriverError(f"driver does not allow the following capabilities: {', '.join(sorted(refused))}")
    if "all" in unwanted:
        return _spelled(wanted), ["ALL"]
    return _spelled(wanted), _spelled(unwanted | (set(ENGINE_CAPS) - permitted))


def _plain(name: str) -> str:
    return name.lower().removeprefix("cap_")


def _spelled(names: Collection[str]) -> list[str]:
    return ["ALL" if name == "all" else f"CAP_{name.upper()}" for name in sorted(names)]
