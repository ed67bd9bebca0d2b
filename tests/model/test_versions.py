from msgspec.structs import replace

from raftnomad.model.job import Job, JobVersionTag, TaskGroup
from raftnomad.model.versions import specification_changed

JOB = Job(id="web", name="web", task_groups=(TaskGroup(name="app", count=1),))


def test_the_same_job_is_no_new_version() -> None:
    assert not specification_changed(JOB, replace(JOB))


def test_what_the_server_wrote_is_no_new_version() -> None:
    tag = JobVersionTag(name="golden")
    later = replace(
        JOB, status="running", version=4, job_modify_index=12, submit_time_ns=5, stable=True, version_tag=tag
    )
    assert not specification_changed(JOB, later)


def test_another_count_is_a_new_version() -> None:
    assert specification_changed(JOB, replace(JOB, task_groups=(TaskGroup(name="app", count=2),)))


def test_a_stopped_job_is_a_new_version() -> None:
    assert specification_changed(JOB, replace(JOB, stop=True))
