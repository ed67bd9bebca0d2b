"""The defaults of a `connect` block, as Nomad's API package fills them in."""

from __future__ import annotations

from msgspec.structs import replace

from raftnomad.model import submitted_connect as c
from raftnomad.model.merging import merged

_SECOND_NS = 1_000_000_000


def filled_connect(connect: c.ConsulConnect | None) -> c.ConsulConnect | None:
    if connect is None:
        return None
    return replace(
        connect,
        sidecar_service=_sidecar_service(connect.sidecar_service),
        sidecar_task=_sidecar_task(connect.sidecar_task),
        gateway=_gateway(connect.gateway),
    )


def _sidecar_service(service: c.ConsulSidecarService | None) -> c.ConsulSidecarService | None:
    if service is None or service.proxy is None or service.proxy.config != {}:
        return service
    return replace(service, proxy=replace(service.proxy, config=None))


def _sidecar_task(task: c.SidecarTask | None) -> c.SidecarTask | None:
    if task is None:
        return None
    given = task.resources or c.SidecarResources()
    cores, cpu = given.cores, given.cpu
    if cores is None:
        cores, cpu = 0, 100 if cpu is None else cpu
    resources = merged(replace(given, cores=cores, cpu=cpu or 0), c.SidecarResources(memory_mb=300))
    mounts = task.volume_mounts
    if mounts is not None:
        default = c.SidecarVolumeMount(read_only=False, propagation_mode="private", selinux_label="")
        mounts = tuple(merged(mount, default) for mount in mounts)
    filled = replace(
        task,
        resources=resources,
        log_config=merged(task.log_config, c.SidecarLogConfig(max_files=10, max_file_size_mb=10, disabled=False)),
        volume_mounts=mounts,
    )
    return merged(filled, c.SidecarTask(kill_timeout_ns=5 * _SECOND_NS, shutdown_delay_ns=0))


def _gateway(gateway: c.ConsulGateway | None) -> c.ConsulGateway | None:
    if gateway is None:
        return None
    proxy = gateway.proxy
    if proxy is not None:
        proxy = merged(
            replace(proxy, config=proxy.config or None), c.ConsulGatewayProxy(connect_timeout_ns=5 * _SECOND_NS)
        )
    ingress = gateway.ingress
    if ingress is not None and ingress.listeners:
        listeners = tuple(replace(one, protocol=one.protocol or "tcp") for one in ingress.listeners)
        ingress = replace(ingress, listeners=listeners)
    return replace(gateway, proxy=proxy, ingress=ingress)
