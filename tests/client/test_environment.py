"""What a task sees, as Nomad 2.0.6 was seen to give it for the same job."""

from __future__ import annotations

from msgspec.structs import replace

from raftnomad.client.environment import Directories, build
from raftnomad.model.node import Node
from raftnomad.model.resources import (
    AllocatedCpuResources,
    AllocatedMemoryResources,
    AllocatedPortMapping,
    AllocatedResources,
    AllocatedSharedResources,
    AllocatedTaskResources,
)
from tests.client.makers import a_group, a_job, a_task, an_alloc

NODE = Node(name="node1", datacenter="dc1", node_pool="default", attributes={"kernel.name": "linux"})
TASK = a_task(
    "server",
    meta={"level": "task", "Mixed": "Case"},
    env={
        "PLAIN": "value",
        "JOINED": "${NOMAD_JOB_NAME}/${NOMAD_GROUP_NAME}/${NOMAD_TASK_NAME}-${NOMAD_ALLOC_INDEX}",
        "NODE": "${node.unique.name} ${node.datacenter} ${node.class} ${node.pool}",
        "FROMMETA": "${NOMAD_META_level}",
        "UNKNOWN": "${attr.no.such} ${meta.nothing}",
        "PORT": "${NOMAD_PORT_http}",
    },
)
GROUP = a_group(TASK, meta={"level": "group", "color": "blue"})
JOB = a_job(GROUP, id="web", name="web", meta={"owner": "ops", "tier-name": "front", "level": "job"})


def environment() -> dict[str, str]:
    ports = (
        AllocatedPortMapping(label="http", value=18211, host_ip="127.0.0.1"),
        AllocatedPortMapping(label="admin-ui", value=18212, to=9000, host_ip="127.0.0.1"),
    )
    given = AllocatedTaskResources(
        cpu=AllocatedCpuResources(cpu_shares=50), memory=AllocatedMemoryResources(memory_mb=32)
    )
    resources = AllocatedResources(tasks={"server": given}, shared=AllocatedSharedResources(ports=ports))
    alloc = replace(an_alloc(JOB), id="3ef2c18e-8e67-021a-dc2b-5a84513e311b", allocated_resources=resources)
    directories = Directories(alloc="/x/alloc", task="/x/server/local", secrets="/x/server/secrets")
    return dict(build(alloc, JOB, GROUP, TASK, NODE, directories).variables)


def test_the_task_sees_what_nomads_task_sees() -> None:
    assert environment() == {
        "FROMMETA": "task",
        "JOINED": "web/front/server-0",
        "NODE": "node1 dc1  default",
        "PLAIN": "value",
        "PORT": "18211",
        "UNKNOWN": "${attr.no.such} ${meta.nothing}",
        "NOMAD_ADDR_admin_ui": "127.0.0.1:18212",
        "NOMAD_ADDR_http": "127.0.0.1:18211",
        "NOMAD_ALLOC_DIR": "/x/alloc",
        "NOMAD_ALLOC_ID": "3ef2c18e-8e67-021a-dc2b-5a84513e311b",
        "NOMAD_ALLOC_INDEX": "0",
        "NOMAD_ALLOC_NAME": "web.front[0]",
        "NOMAD_ALLOC_PORT_admin-ui": "9000",
        "NOMAD_ALLOC_PORT_http": "18211",
        "NOMAD_CPU_CORES": " ",
        "NOMAD_CPU_LIMIT": "50",
        "NOMAD_DC": "dc1",
        "NOMAD_GROUP_NAME": "front",
        "NOMAD_HOST_ADDR_admin-ui": "127.0.0.1:18212",
        "NOMAD_HOST_ADDR_http": "127.0.0.1:18211",
        "NOMAD_HOST_IP_admin-ui": "127.0.0.1",
        "NOMAD_HOST_IP_http": "127.0.0.1",
        "NOMAD_HOST_PORT_admin_ui": "18212",
        "NOMAD_HOST_PORT_http": "18211",
        "NOMAD_IP_admin_ui": "127.0.0.1",
        "NOMAD_IP_http": "127.0.0.1",
        "NOMAD_JOB_ID": "web",
        "NOMAD_JOB_NAME": "web",
        "NOMAD_MEMORY_LIMIT": "32",
        "NOMAD_META_COLOR": "blue",
        "NOMAD_META_LEVEL": "task",
        "NOMAD_META_MIXED": "Case",
        "NOMAD_META_Mixed": "Case",
        "NOMAD_META_OWNER": "ops",
        "NOMAD_META_TIER_NAME": "front",
        "NOMAD_META_color": "blue",
        "NOMAD_META_level": "task",
        "NOMAD_META_owner": "ops",
        "NOMAD_META_tier_name": "front",
        "NOMAD_NAMESPACE": "default",
        "NOMAD_PORT_admin_ui": "9000",
        "NOMAD_PORT_http": "18211",
        "NOMAD_REGION": "global",
        "NOMAD_SECRETS_DIR": "/x/server/secrets",
        "NOMAD_SHORT_ALLOC_ID": "3ef2c18e",
        "NOMAD_TASK_DIR": "/x/server/local",
        "NOMAD_TASK_NAME": "server",
    }
