from __future__ import annotations

import pytest

from raftnomad.model.policies import ScalingPolicy
from tests.api.conftest import Asked, request_job
from tests.makers import a_group, a_job


@pytest.fixture
async def job(ask: Asked) -> None:
    group = a_group(count=2, scaling=ScalingPolicy(min=1, max=4, enabled=True))
    await ask.put("/v1/jobs", request_job(a_job(id="web", task_groups=(group,))))


@pytest.mark.usefixtures("job")
async def test_a_group_is_scaled_and_its_status_tells_of_it(ask: Asked) -> None:
    body = {"Count": 3, "Target": {"Group": "web"}, "Message": "more", "Meta": {"by": "hand"}}
    scaled = await ask.put("/v1/job/web/scale", body)
    assert scaled["JobModifyIndex"] == scaled["EvalCreateIndex"] == scaled["Index"]
    status = (await ask.get("/v1/job/web/scale"))["TaskGroups"]["web"]
    (event,) = status["Events"]
    assert status["Desired"] == 3
    assert (event["Count"], event["PreviousCount"], event["Message"], event["Meta"]) == (3, 2, "more", {"by": "hand"})
    assert event["EvalID"] == scaled["EvalID"]
    assert (await ask.get(f"/v1/evaluation/{scaled['EvalID']}"))["TriggeredBy"] == "job-scaling"


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"Count": 5, "Target": {"Group": "web"}}, "group count was greater than scaling policy maximum: 5 > 4"),
        ({"Count": -1, "Target": {"Group": "web"}}, "scaling action count can't be negative"),
        ({"Count": 2}, "missing task group name for scaling action"),
        ({"Count": 2, "Target": {"Group": "web", "Job": "other"}}, "job ID in payload did not match URL"),
        (
            {"Count": 2, "Target": {"Group": "web"}, "Error": True},
            "scaling action should not contain count if error is true",
        ),
    ],
)
async def test_scaling_that_makes_no_sense_is_refused(ask: Asked, body: dict[str, object], told: str) -> None:
    assert await ask.refused("PUT", "/v1/job/web/scale", body) == (400, told)


@pytest.mark.usefixtures("job")
async def test_a_policy_keeps_its_id_while_its_job_has_it(ask: Asked) -> None:
    (stub,) = await ask.get("/v1/scaling/policies")
    assert stub["Target"] == {"Namespace": "default", "Job": "web", "Group": "web"}
    await ask.put("/v1/job/web/scale", {"Count": 3, "Target": {"Group": "web"}})
    policy = await ask.get(f"/v1/scaling/policy/{stub['ID']}")
    assert (policy["Min"], policy["Max"], policy["Type"]) == (1, 4, "horizontal")
    assert (await ask.get("/v1/job/web"))["TaskGroups"][0]["Scaling"]["ID"] == stub["ID"]
    assert await ask.get("/v1/scaling/policies?job=other") == []
    assert await ask.refused("GET", "/v1/scaling/policy/nope") == (404, "policy not found")


@pytest.mark.usefixtures("job")
async def test_a_version_is_tagged_compared_by_its_tag_and_untagged(ask: Asked) -> None:
    tagged = await ask.put("/v1/job/web/versions/golden/tag", {"Version": 0, "Description": "the first"})
    assert (tagged["Name"], tagged["Description"]) == ("golden", "the first")
    await ask.put("/v1/job/web/scale", {"Count": 3, "Target": {"Group": "web"}})
    versions = await ask.get("/v1/job/web/versions?diffs=true&diff_tag=golden")
    assert [version["VersionTag"] and version["VersionTag"]["Name"] for version in versions["Versions"]] == [
        None,
        "golden",
    ]
    assert [diff["Type"] for diff in versions["Diffs"]] == ["Edited", "None"]
    assert (await ask("DELETE", "/v1/job/web/versions/golden/tag")).status == 200
    status, text = await ask.refused("DELETE", "/v1/job/web/versions/golden/tag")
    assert (status, text) == (500, 'tag "golden" not found on job "web"')


@pytest.mark.usefixtures("job")
async def test_the_latest_version_is_tagged_without_its_number(ask: Asked) -> None:
    await ask.put("/v1/job/web/scale", {"Count": 3, "Target": {"Group": "web"}})
    await ask.put("/v1/job/web/versions/newest/tag", {"Latest": True})
    assert (await ask.get("/v1/job/web"))["VersionTag"]["Name"] == "newest"


@pytest.mark.usefixtures("job")
async def test_evaluations_are_deleted_by_id_or_filter_while_the_broker_is_paused(ask: Asked) -> None:
    (evaluation,) = await ask.get("/v1/evaluations")
    body = {"EvalIDs": [evaluation["ID"]]}
    assert (await ask.refused("DELETE", "/v1/evaluations", body))[1].endswith("must be paused to delete evals")
    await ask.put("/v1/operator/scheduler/configuration", {"PauseEvalBroker": True})
    assert (await ask.refused("DELETE", "/v1/evaluations", {}))[0] == 400
    nothing = await ask("DELETE", "/v1/evaluations", {"Filter": 'JobID == "nothing"'})
    assert nothing.body == b'{"Count":0,"Index":0}'
    deleted = await ask("DELETE", "/v1/evaluations", {"Filter": 'JobID == "web"'})
    assert b'"Count":1' in deleted.body
    assert await ask.refused("DELETE", "/v1/evaluations", body) == (500, "eval not found")


async def test_statuses_tell_how_jobs_fare_newest_first(ask: Asked) -> None:
    for name in ("one", "two", "three"):
        await ask.put("/v1/jobs", request_job(a_job(id=name, task_groups=(a_group(count=2),))))
    statuses = await ask.get("/v1/jobs/statuses")
    assert [status["ID"] for status in statuses] == ["three", "two", "one"]
    assert (statuses[0]["GroupCountSum"], statuses[0]["Allocs"], statuses[0]["LatestDeployment"]) == (2, [], None)
    first = await ask("GET", "/v1/jobs/statuses?per_page=2")
    token = first.headers["X-Nomad-NextToken"]
    assert [status["ID"] for status in await ask.get(f"/v1/jobs/statuses?next_token={token}")] == ["one"]
    named = await ask("POST", "/v1/jobs/statuses", {"Jobs": [{"ID": "two"}, {"ID": "nope"}]})
    assert b'"ID":"two"' in named.body
    assert b'"ID":"one"' not in named.body
