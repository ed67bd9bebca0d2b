from __future__ import annotations

import pytest

from raftnomad.model.policies import ParameterizedJobConfig, PeriodicConfig
from tests.api.conftest import Asked, request_job
from tests.makers import a_job


@pytest.fixture
async def jobs(ask: Asked) -> None:
    hook = a_job(id="hook", type="batch", parameterized_job=ParameterizedJobConfig(meta_optional=("who",)))
    nightly = a_job(id="nightly", type="batch", periodic=PeriodicConfig(enabled=True, spec="@hourly", spec_type="cron"))
    for job in (hook, nightly):
        await ask.put("/v1/jobs", request_job(job))


@pytest.mark.usefixtures("jobs")
async def test_a_parameterized_job_is_dispatched_once_for_each_token(ask: Asked) -> None:
    body = {"Payload": "aGVsbG8K", "Meta": {"who": "me"}, "IdPrefixTemplate": "now"}
    first = await ask.put("/v1/job/hook/dispatch?idempotency_token=t", body)
    assert first["DispatchedJobID"].startswith("hook/dispatch-now-")
    assert first["EvalCreateIndex"] == first["JobCreateIndex"] == first["Index"]
    child = await ask.get(f"/v1/job/{first['DispatchedJobID']}")
    assert (child["Payload"], child["Meta"], child["ParentID"]) == ("aGVsbG8K", {"who": "me"}, "hook")
    again = await ask.put("/v1/job/hook/dispatch?idempotency_token=t", body)
    assert (again["DispatchedJobID"], again["EvalID"]) == (first["DispatchedJobID"], "")


@pytest.mark.usefixtures("jobs")
async def test_a_payload_may_be_the_body_itself(ask: Asked) -> None:
    launched = await ask.put("/v1/job/hook/dispatch/payload", b"hello\n")
    assert (await ask.get(f"/v1/job/{launched['DispatchedJobID']}"))["Payload"] == "aGVsbG8K"


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("job", "body", "status", "told"),
    [
        ("hook", {"Payload": "%%%"}, 400, "illegal base64 data at input byte 0"),
        ("hook", {"JobID": "other"}, 400, "Job ID does not match"),
        ("hook", {"Meta": {"colour": "red"}}, 500, "Dispatch request included unpermitted metadata keys: [colour]"),
        ("nosuch", {}, 500, "parameterized job not found"),
    ],
)
async def test_a_dispatch_that_can_not_be_is_refused(
    ask: Asked, job: str, body: object, status: int, told: str
) -> None:
    assert await ask.refused("PUT", f"/v1/job/{job}/dispatch", body) == (status, told)


@pytest.mark.usefixtures("jobs")
async def test_a_periodic_job_is_launched_now(ask: Asked) -> None:
    forced = await ask.put("/v1/job/nightly/periodic/force")
    evaluation = await ask.get(f"/v1/evaluation/{forced['EvalID']}")
    assert evaluation["TriggeredBy"] == "periodic-job"
    assert evaluation["JobID"].startswith("nightly/periodic-")
    assert (await ask.get("/v1/job/nightly/summary"))["Children"]["Pending"] == 1
