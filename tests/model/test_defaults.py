from typing import Any

import pytest

from raftnomad.model.defaults import canonicalize
from raftnomad.model.job import Job
from raftnomad.model.policies import UpdateStrategy

SECOND = 1_000_000_000


def a_submission(task: dict[str, Any] | None = None, group: dict[str, Any] | None = None, **job: Any) -> dict[str, Any]:
    tasks = [{"Name": "t", "Driver": "mock_driver", **(task or {})}]
    return {"ID": "a", "TaskGroups": [{"Name": "g", "Tasks": tasks, **(group or {})}], **job}


def group_of(job: Job) -> Any:
    assert job.task_groups is not None
    return job.task_groups[0]


def task_of(job: Job) -> Any:
    return group_of(job).tasks[0]


def test_a_job_that_says_little_gets_the_rest() -> None:
    job = canonicalize(a_submission())
    assert (job.name, job.namespace, job.region, job.type, job.priority) == ("a", "default", "global", "service", 50)
    assert (job.datacenters, job.node_pool) == (("*",), "default")
    assert job.update == UpdateStrategy(stagger_ns=30 * SECOND, max_parallel=1)
    task = task_of(job)
    assert (task.kill_timeout_ns, task.resources.cpu, task.resources.memory_mb) == (5 * SECOND, 100, 300)
    assert (task.log_config.max_files, task.log_config.max_file_size_mb) == (10, 10)
    assert (task.identity.name, task.identity.audience) == ("default", ("nomadproject.io",))


def test_zero_is_not_the_same_as_nothing() -> None:
    assert group_of(canonicalize(a_submission(group={"Count": 0}))).count == 0
    assert group_of(canonicalize(a_submission(group={"Count": None}))).count == 1
    assert task_of(canonicalize(a_submission(task={"KillTimeout": 0}))).kill_timeout_ns == 0


@pytest.mark.parametrize(
    ("job_type", "attempts", "interval_s", "reschedules", "updates", "migrates"),
    [
        ("service", 2, 1800, True, True, True),
        ("batch", 3, 86400, True, False, False),
        ("system", 2, 1800, False, True, False),
        ("sysbatch", 3, 86400, False, False, False),
    ],
)
def test_policies_depend_on_the_type(
    job_type: str, attempts: int, interval_s: int, reschedules: bool, updates: bool, migrates: bool
) -> None:
    group = group_of(canonicalize(a_submission(Type=job_type)))
    assert (group.restart_policy.attempts, group.restart_policy.interval_ns) == (attempts, interval_s * SECOND)
    assert (group.reschedule_policy is not None, group.update is not None) == (reschedules, updates)
    assert (group.migrate is not None) == migrates


def test_a_group_has_what_the_job_says_and_a_task_what_the_group_says() -> None:
    job = canonicalize(
        a_submission(
            Update={"MaxParallel": 3},
            Reschedule={"Delay": 99 * SECOND},
            group={"RestartPolicy": {"Attempts": 7}},
            task={"RestartPolicy": {"Mode": "delay"}},
        )
    )
    assert group_of(job).update.max_parallel == 3
    assert group_of(job).reschedule_policy.delay_ns == 99 * SECOND
    assert (task_of(job).restart_policy.attempts, task_of(job).restart_policy.mode) == (7, "delay")


def test_whole_cores_leave_no_cpu() -> None:
    assert task_of(canonicalize(a_submission(task={"Resources": {"Cores": 2}}))).resources.cpu == 0


def test_services_get_names_and_checks_too() -> None:
    check = {"Type": "tcp", "Interval": SECOND, "Timeout": SECOND}
    service = {"PortLabel": "http", "Provider": "nomad", "Checks": [check]}
    job = canonicalize(a_submission(task={"Services": [service]}, group={"Services": [{"Name": "${JOB}-${BASE}"}]}))
    of_task, of_group = task_of(job).services[0], group_of(job).services[0]
    assert (of_task.name, of_task.task_name, of_task.namespace) == ("a-g-t", "t", "default")
    assert of_task.checks[0].name == 'service: "a-g-t" check'
    assert (of_group.name, of_group.provider, of_group.address_mode) == ("a-a-g-group", "consul", "auto")


def test_what_a_job_uses_becomes_a_constraint() -> None:
    service = {"Name": "s", "Provider": "nomad", "PortLabel": "1"}
    job = canonicalize(
        a_submission(task={"KillSignal": "SIGINT"}, group={"Services": [service], "Networks": [{"Mode": "bridge"}]})
    )
    targets = [(constraint.l_target, constraint.r_target) for constraint in group_of(job).constraints]
    assert targets[:2] == [("${attr.os.signals}", "SIGINT"), ("${attr.nomad.service_discovery}", "true")]
    assert ("${attr.plugins.cni.version.bridge}", ">= 0.4.0") in targets


def test_a_complete_job_comes_out_as_it_is() -> None:
    service = {"Name": "s", "Provider": "nomad", "PortLabel": "1"}
    job = canonicalize(a_submission(task={"KillSignal": "SIGINT", "Services": [service]}))
    assert canonicalize(job) == job


def test_empty_lists_and_maps_are_none() -> None:
    job = canonicalize(a_submission(task={"Env": {}, "Services": []}, group={"Networks": []}, Meta={}, Spreads=[]))
    assert (job.meta, job.spreads, group_of(job).networks, task_of(job).env) == (None, None, None, None)


def test_nulls_inside_of_driver_configuration_stay() -> None:
    assert task_of(canonicalize(a_submission(task={"Config": {"a": None}}))).config == {"a": None}
