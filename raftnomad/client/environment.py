"""The environment of a task: `NOMAD_*`, addresses, metadata, the job's own `env`; of equal names the later wins.

What a task inherits from the machine is its driver's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from raftnomad.client.interpolation import fill, node_values, with_environment
from raftnomad.identifiers import short_id
from raftnomad.model.allocation import Allocation
from raftnomad.model.job import Job, Task, TaskGroup
from raftnomad.model.node import Node
from raftnomad.model.resources import AllocatedPortMapping, AllocatedTaskResources, NetworkResource

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True, kw_only=True)
class Directories:
    """As the task sees them: paths of the machine, or `/alloc`, `/local`, `/secrets` in a root of its own."""

    alloc: str
    task: str
    secrets: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    variables: Mapping[str, str]
    values: Mapping[str, str]
    """Everything that `${...}` may name in the task's `config`."""


def build(
    alloc: Allocation, job: Job, group: TaskGroup, task: Task, node: Node, directories: Directories
) -> Environment:
    variables = {
        **_identity(alloc, job, group, task, node),
        **_resources(alloc, task),
        **_directories(directories),
        **_networks(alloc),
        **_metadata({**(job.meta or {}), **(group.meta or {}), **(task.meta or {})}),
    }
    base = node_values(node, job.region)
    known = with_environment(base, variables)
    variables |= {fill(name, known): fill(value, known) for name, value in (task.env or {}).items()}
    return Environment(variables=variables, values=with_environment(base, variables))


def clean_name(name: str) -> str:
    """A label or key as part of a variable's name."""
    return _NOT_IN_A_NAME.sub("_", name)


def alloc_index(name: str) -> str:
    """The 3 of `job.group[3]`."""
    return name.rpartition("[")[2].removesuffix("]") if name.endswith("]") else ""


def _identity(alloc: Allocation, job: Job, group: TaskGroup, task: Task, node: Node) -> dict[str, str]:
    variables = {
        "NOMAD_ALLOC_ID": alloc.id,
        "NOMAD_SHORT_ALLOC_ID": short_id(alloc.id),
        "NOMAD_ALLOC_NAME": alloc.name,
        "NOMAD_ALLOC_INDEX": alloc_index(alloc.name),
        "NOMAD_TASK_NAME": task.name,
        "NOMAD_GROUP_NAME": group.name,
        "NOMAD_JOB_ID": job.id,
        "NOMAD_JOB_NAME": job.name,
        "NOMAD_DC": node.datacenter,
        "NOMAD_NAMESPACE": alloc.namespace,
        "NOMAD_REGION": job.region,
    }
    if job.parent_id:
        variables["NOMAD_JOB_PARENT_ID"] = job.parent_id
    if node.cgroup_parent:
        variables["NOMAD_PARENT_CGROUP"] = node.cgroup_parent
    return variables


def _resources(alloc: Allocation, task: Task) -> dict[str, str]:
    given = task_resources(alloc, task.name)
    cores = given.cpu.reserved_cores or ()
    variables = {
        "NOMAD_CPU_LIMIT": str(given.cpu.cpu_shares),
        # A blank where there is none: so says Nomad, after the kernel's way to write an empty set.
        "NOMAD_CPU_CORES": ",".join(str(core) for core in cores) or " ",
        "NOMAD_MEMORY_LIMIT": str(given.memory.memory_mb),
    }
    if given.memory.memory_max_mb:
        variables["NOMAD_MEMORY_MAX_LIMIT"] = str(given.memory.memory_max_mb)
    return variables


def task_resources(alloc: Allocation, task_name: str) -> AllocatedTaskResources:
    """What the scheduler gave one task of the allocation."""
    resources = alloc.allocated_resources
    tasks = resources.tasks if resources is not None else None
    return (tasks or {}).get(task_name, AllocatedTaskResources())


def _directories(directories: Directories) -> dict[str, str]:
    return {
        "NOMAD_ALLOC_DIR": directories.alloc,
        "NOMAD_TASK_DIR": directories.task,
        "NOMAD_SECRETS_DIR": directories.secrets,
    }


def _networks(alloc: Allocation) -> dict[str, str]:
    resources = alloc.allocated_resources
    if resources is None:
        return {}
    variables: dict[str, str] = {}
    for port in resources.shared.ports or ():
        variables |= _group_port(port)
    for name, given in (resources.tasks or {}).items():
        for network in given.networks or ():
            variables |= _task_network(name, network)
    return variables


def _group_port(port: AllocatedPortMapping) -> dict[str, str]:
    """Only the first four have their labels cleaned; the others' are as written, as in Nomad."""
    label, inside = clean_name(port.label), port.to if port.to > 0 else port.value
    return {
        f"NOMAD_IP_{label}": port.host_ip,
        f"NOMAD_PORT_{label}": str(inside),
        f"NOMAD_ADDR_{label}": f"{_bracketed(port.host_ip)}:{port.value}",
        f"NOMAD_HOST_PORT_{label}": str(port.value),
        f"NOMAD_HOST_IP_{port.label}": port.host_ip,
        f"NOMAD_HOST_ADDR_{port.label}": f"{_bracketed(port.host_ip)}:{port.value}",
        f"NOMAD_ALLOC_PORT_{port.label}": str(inside),
    }


def _task_network(task_name: str, network: NetworkResource) -> dict[str, str]:
    """The older kind of network, which belongs to one task; the others of the group see it too."""
    variables = {}
    for port in (*(network.reserved_ports or ()), *(network.dynamic_ports or ())):
        name = clean_name(f"{task_name}_{port.label}")
        variables[f"NOMAD_IP_{name}"] = network.ip
        variables[f"NOMAD_PORT_{name}"] = str(port.value)
        variables[f"NOMAD_ADDR_{name}"] = f"{_bracketed(network.ip)}:{port.value}"
    return variables


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _metadata(meta: Mapping[str, str]) -> dict[str, str]:
    """Each key twice: as written and in capitals."""
    variables = {f"NOMAD_META_{clean_name(key).upper()}": value for key, value in meta.items()}
    return variables | {f"NOMAD_META_{clean_name(key)}": value for key, value in meta.items()}
