"""What a client agent and a server say to each other over HTTP: private routes, MessagePack bodies, versioned.

All under `PREFIX`; each request carries the node's id and secret in headers. Any server answers; writes travel to the
leader through the log as every write does.
"""

from __future__ import annotations

from raftnomad.model.allocation import Allocation, AllocDeploymentStatus, AllocNetworkStatus, TaskState
from raftnomad.model.node import Node, NodeEvent
from raftnomad.model.row import Row

PREFIX = "/v1/internal/client-agent/1"
NODE_HEADER = "X-Raftnomad-Node"
SECRET_HEADER = "X-Raftnomad-Node-Secret"
CONTENT_TYPE = "application/msgpack"


class RegisterRequest(Row, frozen=True, kw_only=True):
    """PUT `PREFIX/register`: the node as fingerprinted. Its SecretID becomes the node's secret at the first one."""

    node: Node = Node()


class HeartbeatRequest(Row, frozen=True, kw_only=True):
    """PUT `PREFIX/heartbeat`: the node is alive; `status` is `ready` (or `initializing` before all is restored)."""

    node_id: str = ""
    status: str = "ready"
    events: tuple[NodeEvent, ...] = ()


class HeartbeatResponse(Row, frozen=True, kw_only=True):
    """Answer to both. A node that is unknown to the servers gets 404 and registers again."""

    index: int = 0
    heartbeat_ttl_ns: int = 0
    servers: tuple[str, ...] = ()
    """rpc addresses of all servers, `host:port`."""
    leader: str = ""
    eligibility: str = ""


class AllocationsResponse(Row, frozen=True, kw_only=True):
    """GET `PREFIX/allocations?index=N&wait=...`: all allocations of the node, id -> AllocModifyIndex.

    Waits as blocking queries do, for a change to the node's allocations.
    """

    index: int = 0
    allocations: dict[str, int] = {}


class FetchRequest(Row, frozen=True, kw_only=True):
    """PUT `PREFIX/fetch`: the allocations themselves, with their jobs."""

    ids: tuple[str, ...] = ()


class FetchResponse(Row, frozen=True, kw_only=True):
    index: int = 0
    allocations: tuple[Allocation, ...] = ()


class AllocationReport(Row, frozen=True, kw_only=True):
    """What the client says of one allocation; None leaves what the servers have."""

    id: str = ""
    client_status: str = ""
    client_description: str = ""
    task_states: dict[str, TaskState] | None = None
    deployment_status: AllocDeploymentStatus | None = None
    network_status: AllocNetworkStatus | None = None


class ReportRequest(Row, frozen=True, kw_only=True):
    """PUT `PREFIX/report`: batched every 200 ms."""

    reports: tuple[AllocationReport, ...] = ()


class ReportResponse(Row, frozen=True, kw_only=True):
    index: int = 0
