"""Members as Nomad's API shows them, and Nomad's words for a join that failed."""

from __future__ import annotations

from raftnomad.members.record import Record
from raftnomad.members.table import Status
from raftnomad.model.server import ServerMember
from raftnomad.raft.reach import split_address


def server_member(record: Record, status: Status) -> ServerMember:
    """One row of `agent/members`. The protocol numbers are those of Nomad's Serf: a client may print them."""
    identity = record.identity
    host, port = split_address(identity.serf_address)
    rpc_host, rpc_port = split_address(identity.rpc_address)
    tags = {
        "build": identity.build,
        "dc": identity.datacenter,
        "id": identity.id,
        "port": str(rpc_port),
        "raft_vsn": "3",
        "region": identity.region,
        "revision": "",
        "role": "nomad",
        "rpc_addr": rpc_host,
        "vsn": "1",
    }
    if identity.expect:
        tags["expect"] = str(identity.expect)
    if identity.expect == 1:
        tags["bootstrap"] = "1"
    return ServerMember(
        name=f"{identity.name}.{identity.region}",
        addr=host,
        port=port,
        tags=tags,
        status=str(status),
        protocol_min=1,
        protocol_max=5,
        protocol_cur=2,
        delegate_min=2,
        delegate_max=5,
        delegate_cur=4,
    )


def join_failure(failures: list[str]) -> str:
    """The `error` of `agent/join`: all that failed, also when another address could be joined."""
    if not failures:
        return ""
    head = "1 error" if len(failures) == 1 else f"{len(failures)} errors"
    return f"{head} occurred:\n" + "".join(f"\t* {failure}\n" for failure in failures) + "\n"


def dial_failure(address: str, error: Exception) -> str:
    """Why an address could not be joined, in the words that Nomad's users search for."""
    if isinstance(error, ConnectionRefusedError):
        return f"failed to join {address}: dial tcp {address}: connect: connection refused"
    if isinstance(error, TimeoutError):
        return f"failed to join {address}: dial tcp {address}: i/o timeout"
    return f"failed to join {address}: {error}"
