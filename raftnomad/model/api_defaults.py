"""What Nomad's API package fills in, before a job travels: `/v1/jobs/parse` shows it with `Canonicalize`.

Apart from `defaults`, which completes a job on the servers: users see the state in between.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from raftnomad.model import submitted as s
from raftnomad.model.api_connect import filled_connect
from raftnomad.model.merging import merged
from raftnomad.model.row import Row
from raftnomad.model.service import Consul, ServiceWeights

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS

R = TypeVar("R", bound=Row)

UPDATE = s.UpdateStrategy(
    stagger_ns=30 * SECOND_NS,
    max_parallel=1,
    health_check="checks",
    min_healthy_time_ns=10 * SECOND_NS,
    healthy_deadline_ns=5 * MINUTE_NS,
    progress_deadline_ns=10 * MINUTE_NS,
    canary=0,
    auto_revert=False,
    auto_promote=False,
)
MIGRATE = s.MigrateStrategy(
    max_parallel=1, health_check="checks", min_healthy_time_ns=10 * SECOND_NS, healthy_deadline_ns=5 * MINUTE_NS
)
_FAST_RESTART = s.RestartPolicy(
    attempts=2, interval_ns=30 * MINUTE_NS, delay_ns=15 * SECOND_NS, mode="fail", render_templates=False
)
_BATCH_RESTART = replace(_FAST_RESTART, attempts=3, interval_ns=24 * HOUR_NS)
RESTART = {"service": _FAST_RESTART, "system": _FAST_RESTART, "batch": _BATCH_RESTART, "sysbatch": _BATCH_RESTART}
RESCHEDULE = {
    "service": s.ReschedulePolicy(
        attempts=0,
        interval_ns=0,
        delay_ns=30 * SECOND_NS,
        delay_function="exponential",
        max_delay_ns=HOUR_NS,
        unlimited=True,
    ),
    "batch": s.ReschedulePolicy(
        attempts=1,
        interval_ns=24 * HOUR_NS,
        delay_ns=5 * SECOND_NS,
        delay_function="constant",
        max_delay_ns=0,
        unlimited=False,
    ),
}
_NO_RESCHEDULE = s.ReschedulePolicy(
    attempts=0, interval_ns=0, delay_ns=0, delay_function="", max_delay_ns=0, unlimited=False
)


def fill(job: s.Job) -> s.Job:
    """The job with the defaults of Nomad's API package."""
    job_type = job.type or "service" if job.type is None else job.type
    update = job.update
    if update is not None or job_type in ("service", "system"):
        update = merged(update, UPDATE)
    name = job.name if job.name is not None else job.id
    filled = merged(
        replace(job, update=update, type=job_type, name=name),
        s.Job(
            id="",
            name="",
            parent_id="",
            namespace="default",
            priority=50,
            stop=False,
            region="global",
            node_pool="",
            all_at_once=False,
            consul_namespace="",
            vault_namespace="",
            nomad_token_id="",
            status="",
            status_description="",
            stable=False,
            version=0,
            create_index=0,
            modify_index=0,
            job_modify_index=0,
        ),
    )
    return replace(
        filled,
        periodic=_periodic(job.periodic),
        multiregion=_multiregion(job.multiregion),
        affinities=_affinities(job.affinities),
        spreads=_spreads(job.spreads),
        task_groups=None if job.task_groups is None else tuple(_group(group, filled) for group in job.task_groups),
    )


def _multiregion(multiregion: s.Multiregion | None) -> s.Multiregion | None:
    if multiregion is None:
        return None
    strategy = merged(multiregion.strategy, s.MultiregionStrategy(max_parallel=0, on_failure=""))
    default = s.MultiregionRegion(count=1, datacenters=(), meta={})
    regions = tuple(merged(region, default) for region in multiregion.regions or ())
    return s.Multiregion(strategy=strategy, regions=regions)


def _periodic(periodic: s.PeriodicConfig | None) -> s.PeriodicConfig | None:
    if periodic is None:
        return None
    default = s.PeriodicConfig(
        enabled=True, spec="", specs=(), spec_type="cron", prohibit_overlap=False, time_zone="UTC"
    )
    return merged(periodic, default)


def _affinities(affinities: tuple[s.Affinity, ...] | None) -> tuple[s.Affinity, ...] | None:
    if affinities is None:
        return None
    return tuple(merged(affinity, s.Affinity(weight=50)) for affinity in affinities)


def _spreads(spreads: tuple[s.Spread, ...] | None) -> tuple[s.Spread, ...] | None:
    return None if spreads is None else tuple(merged(spread, s.Spread(weight=50)) for spread in spreads)


def _group(group: s.TaskGroup, job: s.Job) -> s.TaskGroup:
    name = group.name or ""
    count = group.count
    if count is None:
        count = group.scaling.min if group.scaling and group.scaling.min is not None else 1
    restart = merged(group.restart_policy, RESTART.get(job.type or "", _BATCH_RESTART))
    filled = replace(group, name=name, count=count, restart_policy=restart)
    return replace(
        filled,
        scaling=_scaling(group.scaling, count),
        ephemeral_disk=merged(group.ephemeral_disk, s.EphemeralDisk(sticky=False, migrate=False, size_mb=300)),
        consul=_consul(group.consul, job),
        update=_update(group.update, job.update),
        reschedule_policy=_reschedule(group.reschedule_policy, job),
        migrate=_migrate(group.migrate, job),
        affinities=_affinities(group.affinities),
        spreads=_spreads(group.spreads),
        disconnect=_disconnect(group.disconnect),
        services=_services(group.services, f"{job.name}-{name}"),
        tasks=None if group.tasks is None else tuple(_task(task, filled, job) for task in group.tasks),
    )


def _disconnect(disconnect: s.DisconnectStrategy | None) -> s.DisconnectStrategy | None:
    if disconnect is None:
        return None
    return merged(disconnect, s.DisconnectStrategy(replace=True, reconcile="best_score"))


def _scaling(scaling: s.ScalingPolicy | None, count: int) -> s.ScalingPolicy | None:
    return None if scaling is None else merged(scaling, s.ScalingPolicy(enabled=True, min=count))


def _consul(consul: Consul | None, job: s.Job) -> Consul | None:
    if consul is None:
        return None
    return replace(
        consul, cluster=consul.cluster or "default", namespace=consul.namespace or job.consul_namespace or ""
    )


def _update(update: s.UpdateStrategy | None, of_job: s.UpdateStrategy | None) -> s.UpdateStrategy | None:
    if of_job is None:
        return None if update is None else merged(update, UPDATE)
    return merged(merged(update, of_job), UPDATE)


def _reschedule(policy: s.ReschedulePolicy | None, job: s.Job) -> s.ReschedulePolicy | None:
    if job.type in ("system", "sysbatch") and policy is None and job.reschedule is None:
        return None
    mine = policy if job.reschedule is None else merged(policy, job.reschedule)
    return merged(mine, RESCHEDULE.get(job.type or "", _NO_RESCHEDULE))


def _migrate(migrate: s.MigrateStrategy | None, job: s.Job) -> s.MigrateStrategy | None:
    if job.type != "service":
        given = migrate if job.migrate is None else merged(migrate, job.migrate)
        return None if given is None else merged(given, MIGRATE)
    return merged(migrate if job.migrate is None else merged(migrate, job.migrate), MIGRATE)


def _services(services: tuple[s.Service, ...] | None, default_name: str) -> tuple[s.Service, ...] | None:
    if services is None:
        return None
    return tuple(_service(service, default_name) for service in services)


def _service(service: s.Service, default_name: str) -> s.Service:
    filled = replace(
        service,
        name=service.name or default_name,
        address_mode=service.address_mode or "auto",
        on_update=service.on_update or "require_healthy",
        provider=service.provider or "consul",
        cluster=service.cluster or "default",
        tags=service.tags or None,
        canary_tags=service.canary_tags or None,
        meta=service.meta or None,
        canary_meta=service.canary_meta or None,
        tagged_addresses=service.tagged_addresses or None,
        weights=_weights(service.weights),
        connect=filled_connect(service.connect),
    )
    checks = service.checks
    if checks is not None:
        checks = tuple(_check(check, filled) for check in checks)
    return replace(filled, checks=checks)


def _weights(weights: ServiceWeights | None) -> ServiceWeights | None:
    return weights and ServiceWeights(passing=weights.passing or 1, warning=weights.warning or 1)


def _check(check: s.ServiceCheck, service: s.Service) -> s.ServiceCheck:
    restart = check.check_restart
    if restart is None:
        restart = service.check_restart
    elif service.check_restart is not None:
        restart = _merged_restart(service.check_restart, restart)
    if restart is not None:
        restart = merged(restart, s.CheckRestart(grace_ns=SECOND_NS))
    return replace(check, check_restart=restart, on_update=check.on_update or service.on_update)


def _merged_restart(of_service: s.CheckRestart, of_check: s.CheckRestart) -> s.CheckRestart:
    return s.CheckRestart(
        limit=of_check.limit or of_service.limit,
        grace_ns=of_check.grace_ns if of_check.grace_ns is not None else of_service.grace_ns,
        ignore_warnings=of_check.ignore_warnings or of_service.ignore_warnings,
    )


def _task(task: s.Task, group: s.TaskGroup, job: s.Job) -> s.Task:
    assert group.restart_policy is not None
    csi = task.csi_plugin_config
    if isinstance(csi, Row):
        csi = replace(
            csi,
            mount_dir=csi.mount_dir or "/csi",
            stage_publish_base_dir=csi.stage_publish_base_dir or "/local/csi",
            health_timeout_ns=csi.health_timeout_ns or 30 * SECOND_NS,
        )
    return replace(
        task,
        resources=_resources(task.resources),
        kill_timeout_ns=5 * SECOND_NS if task.kill_timeout_ns is None else task.kill_timeout_ns,
        log_config=_log_config(task.log_config),
        artifacts=_each(task.artifacts, _artifact),
        vault=_vault(task.vault),
        consul=_consul(task.consul, job),
        templates=_each(task.templates, _template),
        affinities=_affinities(task.affinities),
        volume_mounts=_each(task.volume_mounts, _volume_mount),
        csi_plugin_config=csi,
        restart_policy=merged(task.restart_policy, group.restart_policy),
        services=_services(task.services, f"{job.name}-{group.name}-{task.name}"),
        meta=task.meta or None,
        env=task.env or None,
    )


def _each(rows: tuple[R, ...] | None, function: Callable[[R], R]) -> tuple[R, ...] | None:
    return None if rows is None else tuple(function(row) for row in rows)


_VAULT = s.Vault(
    namespace="",
    env=True,
    disable_file=False,
    change_mode="restart",
    change_signal="SIGHUP",
    allow_token_expiration=False,
)


def _vault(vault: s.Vault | None) -> s.Vault | None:
    return None if vault is None else merged(replace(vault, cluster=vault.cluster or "default"), _VAULT)


def _resources(resources: s.Resources | None) -> s.Resources:
    given = resources or s.Resources()
    cores, cpu = given.cores, given.cpu
    if cores is None:
        cores, cpu = 0, 100 if cpu is None else cpu
    devices = given.devices
    if devices is not None:
        devices = tuple(
            replace(
                device, count=1 if device.count is None else device.count, affinities=_affinities(device.affinities)
            )
            for device in devices
        )
    numa = given.numa
    return replace(
        given,
        cpu=0 if cpu is None else cpu,
        cores=cores,
        memory_mb=300 if given.memory_mb is None else given.memory_mb,
        devices=devices,
        numa=numa if numa is None or numa.affinity else replace(numa, affinity="none"),
    )


def _log_config(logs: s.LogConfig | None) -> s.LogConfig:
    given = logs or s.LogConfig()
    return merged(given, s.LogConfig(max_files=10, max_file_size_mb=10, disabled=False))


def _artifact(artifact: s.TaskArtifact) -> s.TaskArtifact:
    mode = artifact.getter_mode or "any" if artifact.getter_mode is None else artifact.getter_mode
    source = artifact.getter_source or ""
    destination = artifact.relative_dest
    if destination is None:
        destination = posixpath.join("local", posixpath.basename(source)) if mode == "file" else "local/"
    return replace(
        artifact,
        getter_mode=mode,
        getter_source=source,
        getter_insecure=bool(artifact.getter_insecure),
        getter_options=artifact.getter_options or None,
        getter_headers=artifact.getter_headers or None,
        relative_dest=destination,
    )


_TEMPLATE = s.Template(
    source_path="",
    dest_path="",
    embedded_tmpl="",
    change_mode="restart",
    change_signal="",
    once=False,
    splay_ns=5 * SECOND_NS,
    perms="0644",
    left_delim="{{",
    right_delim="}}",
    envvars=False,
    vault_grace_ns=0,
    err_missing_key=False,
)


def _template(template: s.Template) -> s.Template:
    filled = merged(template, _TEMPLATE)
    script = template.change_script
    if script is not None:
        script = merged(
            script,
            s.ChangeScript(
                command="", args=(), timeout_ns=5 * SECOND_NS, fail_on_error=False, run_on_first_render=False
            ),
        )
    return replace(filled, change_signal=(filled.change_signal or "").upper(), change_script=script)


def _volume_mount(mount: s.VolumeMount) -> s.VolumeMount:
    return merged(mount, s.VolumeMount(read_only=False, propagation_mode="private", selinux_label=""))
