from __future__ import annotations

import json

import pytest

from raftnomad.fsm.commands import UpsertNamespaces
from raftnomad.model.namespace import Namespace
from tests.api.conftest import Asked, request_job
from tests.makers import a_group, a_job


async def register(ask: Asked, *ids: str, **fields: object) -> None:
    for id in ids:
        await ask.put("/v1/jobs", request_job(a_job(id=id, **fields)))


async def test_a_registered_job_is_read_back_with_its_index(ask: Asked) -> None:
    written = await ask.put("/v1/jobs", request_job(a_job(id="web")))
    answer = await ask("GET", "/v1/job/web")
    job = json.loads(answer.body)
    assert (job["ID"], job["Version"], job["JobModifyIndex"]) == ("web", 0, written["JobModifyIndex"])
    assert answer.headers["X-Nomad-Index"] == str(job["ModifyIndex"])
    assert (answer.headers["X-Nomad-KnownLeader"], answer.headers["X-Nomad-LastContact"]) == ("true", "0")


async def test_registering_answers_with_the_evaluation_that_it_made(ask: Asked) -> None:
    answer = await ask("PUT", "/v1/jobs", request_job(a_job(id="web")))
    written = json.loads(answer.body)
    assert answer.headers["X-Nomad-Index"] == str(written["Index"])
    assert written["EvalCreateIndex"] == written["Index"]
    assert (written["Warnings"], written["KnownLeader"], written["NextToken"]) == ("", False, "")
    evaluation = await ask.get(f"/v1/evaluation/{written['EvalID']}")
    assert (evaluation["JobID"], evaluation["TriggeredBy"], evaluation["Status"]) == ("web", "job-register", "pending")
    assert evaluation["JobModifyIndex"] == written["JobModifyIndex"]


@pytest.mark.parametrize(
    ("target", "body", "status", "message"),
    [
        ("/v1/jobs", b"", 400, "Request body is empty"),
        ("/v1/jobs", b"{}", 400, "Job must be specified"),
        ("/v1/jobs", b'{"Job": {}}', 400, "Job ID hasn't been provided"),
        ("/v1/job/other", b'{"Job": {"ID": "web"}}', 400, "Job ID does not match name"),
        (
            "/v1/jobs",
            b'{"Job": {"ID": "web"}, "EvalPriority": 200}',
            400,
            "Eval priority must be between 1 and 100 inclusively",
        ),
        ("/v1/jobs?region=moon", b'{"Job": {"ID": "web"}}', 500, "No path to region"),
        ("/v1/jobs", b'{"Job": {"ID": "web", "Region": "moon"}}', 500, "No path to region"),
    ],
)
async def test_what_is_no_registration_is_refused(
    ask: Asked, target: str, body: bytes, status: int, message: str
) -> None:
    assert await ask.refused("PUT", target, body) == (status, message)


async def test_an_invalid_job_is_refused_with_all_that_is_wrong(ask: Asked) -> None:
    status, message = await ask.refused("PUT", "/v1/jobs", b'{"Job": {"ID": "web", "Datacenters": ["dc1"]}}')
    assert (status, message) == (500, "1 error occurred:\n\t* Missing job task groups\n\n")


async def test_a_job_of_an_unknown_namespace_or_pool_is_refused(ask: Asked) -> None:
    _, message = await ask.refused("PUT", "/v1/jobs?namespace=nope", request_job(a_job(id="x")))
    assert message == '1 error occurred:\n\t* job "x" is in nonexistent namespace "nope"\n\n'
    _, message = await ask.refused("PUT", "/v1/jobs", request_job(a_job(id="x", node_pool="gpu")))
    assert message == '1 error occurred:\n\t* job "x" is in nonexistent node pool "gpu"\n\n'


async def test_a_check_and_set_that_fails_changes_nothing(ask: Asked) -> None:
    await register(ask, "web")
    again = request_job(a_job(id="web", priority=70), EnforceIndex=True, JobModifyIndex=0)
    status, message = await ask.refused("PUT", "/v1/jobs", again)
    assert (status, message) == (500, "Enforcing job modify index 0: job already exists")
    assert (await ask.get("/v1/job/web"))["Priority"] == 50


async def test_a_job_of_more_than_a_megabyte_is_refused(ask: Asked) -> None:
    job = a_job(id="web", meta={"k": "x" * 1_100_000})
    status, message = await ask.refused("PUT", "/v1/jobs", request_job(job))
    assert status == 413
    assert 'job "web" has 11' in message


async def test_a_source_that_is_too_long_is_left_out_with_a_warning(ask: Asked) -> None:
    submission = {"Source": "x" * 1_200_000, "Format": "hcl2"}
    written = await ask.put("/v1/jobs", request_job(a_job(id="web"), Submission=submission))
    assert "exceeds maximum" in written["Warnings"]
    assert (await ask.refused("GET", "/v1/job/web/submission?version=0")) == (404, "job source not found")


async def test_a_source_is_read_back_by_version(ask: Asked) -> None:
    submission = {"Source": 'job "web" {}', "Format": "hcl2"}
    await ask.put("/v1/jobs", request_job(a_job(id="web"), Submission=submission))
    read = await ask.get("/v1/job/web/submission?version=0")
    assert (read["Source"], read["JobID"], read["Namespace"], read["Version"]) == ('job "web" {}', "web", "default", 0)
    assert (await ask.refused("GET", "/v1/job/web/submission"))[0] == 400


async def test_the_list_shows_stubs_with_summaries_in_order(ask: Asked) -> None:
    await register(ask, "b", "a", meta={"tier": "front"})
    listed = await ask.get("/v1/jobs")
    assert [(job["ID"], job["JobSummary"]["JobID"], "Meta" in job) for job in listed] == [
        ("a", "a", False),
        ("b", "b", False),
    ]
    assert (await ask.get("/v1/jobs?meta=true&prefix=b"))[0]["Meta"] == {"tier": "front"}


async def test_pages_go_on_where_their_token_says(ask: Asked) -> None:
    await register(ask, "a", "ab", "b")
    answer = await ask("GET", "/v1/jobs?per_page=1&filter=ID+!=+ab")
    assert [job["ID"] for job in json.loads(answer.body)] == ["a"]
    assert answer.headers["X-Nomad-NextToken"] == "default.b"
    last = await ask("GET", "/v1/jobs?per_page=2&next_token=default.ab")
    assert [job["ID"] for job in json.loads(last.body)] == ["ab", "b"]
    assert "X-Nomad-NextToken" not in last.headers
    backwards = await ask("GET", "/v1/jobs?per_page=2&reverse=true")
    assert [job["ID"] for job in json.loads(backwards.body)] == ["b", "ab"]
    assert backwards.headers["X-Nomad-NextToken"] == "default.a"


async def test_bad_parameters_of_the_list_are_refused(ask: Asked) -> None:
    assert await ask.refused("GET", "/v1/jobs?per_page=x") == (
        400,
        "Expect a number for `per_page` query string parameter",
    )
    assert (await ask.refused("GET", "/v1/jobs?meta=x"))[0] == 500
    assert await ask.refused("GET", "/v1/jobs?stale=yes") == (
        400,
        "Expect `true` or `false` for `stale` query string parameter",
    )


async def test_namespaces_are_apart_and_star_is_all_of_them(ask: Asked) -> None:
    await ask.propose(UpsertNamespaces(namespaces=(Namespace(name="team"),)))
    await register(ask, "web")
    await ask.put("/v1/jobs?namespace=team", request_job(a_job(id="api", namespace="")))
    assert [job["ID"] for job in await ask.get("/v1/jobs")] == ["web"]
    assert [job["Namespace"] for job in await ask.get("/v1/jobs?namespace=*")] == ["default", "team"]
    assert await ask.refused("GET", "/v1/job/web?namespace=team") == (404, "job not found")


async def test_a_job_with_a_slash_in_its_id_is_found(ask: Asked) -> None:
    await register(ask, "a/b")
    assert (await ask.get("/v1/job/a%2Fb"))["ID"] == "a/b"
    assert (await ask.get("/v1/job/a/b/summary"))["JobID"] == "a/b"
    assert (await ask("POST", "/v1/job/a/b/summary")).status == 200


async def test_versions_are_newest_first_with_their_meta_data(ask: Asked) -> None:
    await register(ask, "web")
    await register(ask, "web", priority=70)
    versions = await ask.get("/v1/job/web/versions")
    assert [job["Version"] for job in versions["Versions"]] == [1, 0]
    assert (versions["Diffs"], versions["KnownLeader"], versions["LastContact"]) == (None, True, 0)
    assert await ask.refused("GET", "/v1/job/nope/versions") == (404, "job versions not found")


async def test_stopping_answers_with_an_evaluation_and_for_an_unknown_job_with_none(ask: Asked) -> None:
    await register(ask, "web")
    stopped = json.loads((await ask("DELETE", "/v1/job/web?eval_priority=90")).body)
    assert (await ask.get("/v1/job/web"))["Stop"] is True
    assert (await ask.get(f"/v1/evaluation/{stopped['EvalID']}"))["Priority"] == 90
    unknown = json.loads((await ask("DELETE", "/v1/job/nope")).body)
    assert (unknown["EvalID"], unknown["Index"], unknown["VolumeEvalID"]) == ("", 0, "")


async def test_purging_removes_the_job(ask: Asked) -> None:
    await register(ask, "web")
    assert (await ask("DELETE", "/v1/job/web?purge=true")).status == 200
    assert await ask.refused("GET", "/v1/job/web") == (404, "job not found")
    assert await ask.get("/v1/job/web/allocations") == []


async def test_evaluating_makes_an_evaluation_and_no_version(ask: Asked) -> None:
    await register(ask, "web")
    asked = await ask.put("/v1/job/web/evaluate")
    assert len(await ask.get("/v1/job/web/evaluations")) == 2
    assert (await ask.get("/v1/job/web"))["Version"] == 0
    assert asked["EvalID"]
    assert await ask.refused("PUT", "/v1/job/web/evaluate", {"JobID": "x"}) == (400, "JobID not same as job name")
    assert await ask.refused("PUT", "/v1/job/nope/evaluate") == (500, "job not found")


async def test_reverting_makes_an_old_version_the_newest(ask: Asked) -> None:
    await register(ask, "web")
    await register(ask, "web", priority=70)
    await ask.put("/v1/job/web/revert", {"JobID": "web", "JobVersion": 0})
    job = await ask.get("/v1/job/web")
    assert (job["Version"], job["Priority"]) == (2, 50)
    for body, message in (
        ({"JobID": "web", "JobVersion": 2}, "can't revert to current version"),
        ({"JobID": "web", "JobVersion": 44}, 'job "web" in namespace "default" at version 44 not found'),
        (
            {"JobID": "web", "JobVersion": 1, "EnforcePriorVersion": 9},
            "Current job has version 2; enforcing version 9",
        ),
    ):
        assert await ask.refused("PUT", "/v1/job/web/revert", body) == (500, message)


async def test_a_version_is_marked_stable(ask: Asked) -> None:
    await register(ask, "web")
    await ask.put("/v1/job/web/stable", {"JobID": "web", "JobVersion": 0, "Stable": True})
    assert (await ask.get("/v1/job/web/versions"))["Versions"][0]["Stable"] is True
    status, _ = await ask.refused("PUT", "/v1/job/web/stable", {"JobID": "web", "JobVersion": 5, "Stable": True})
    assert status == 500


async def test_planning_a_job_tells_what_would_happen_and_changes_nothing(ask: Asked) -> None:
    body = request_job(a_job(id="web", task_groups=(a_group(count=2),)))
    planned = await ask.put("/v1/job/web/plan", body)
    assert planned["Annotations"]["DesiredTGUpdates"]["web"]["Place"] == 2
    assert "web" in planned["FailedTGAllocs"]
    assert await ask.get("/v1/jobs") == []
    assert await ask.refused("PUT", "/v1/job/x/plan", body) == (400, "Job ID does not match")


async def test_what_a_job_has_not_yet_is_empty_and_no_error(ask: Asked) -> None:
    await register(ask, "web")
    assert await ask.get("/v1/job/web/allocations") == []
    assert await ask.get("/v1/job/web/deployments") == []
    assert await ask.get("/v1/job/web/deployment") is None
    assert await ask.get("/v1/job/web/actions") == []
    assert (await ask.get("/v1/job/web/scale"))["TaskGroups"]["web"]["Desired"] == 1


async def test_what_is_not_built_says_so_by_name(ask: Asked) -> None:
    status, message = await ask.refused("GET", "/v1/vars")
    assert status == 501
    assert message == "raftnomad has not built this yet: variables"


async def test_versions_are_compared_with_the_one_before_or_with_one_that_is_named(ask: Asked) -> None:
    await register(ask, "web")
    await register(ask, "web", priority=70)
    (diff,) = (await ask.get("/v1/job/web/versions?diffs=true"))["Diffs"]
    assert {"Type": "Edited", "Name": "Priority", "Old": "50", "New": "70", "Annotations": None} in diff["Fields"]
    diffs = (await ask.get("/v1/job/web/versions?diffs=true&diff_version=0"))["Diffs"]
    assert [diff["Type"] for diff in diffs] == ["Edited", "None"]
    assert await ask.refused("GET", "/v1/job/web/versions?diffs=true&diff_version=9") == (500, "version 9 not found")


async def test_a_namespace_says_which_drivers_its_jobs_may_use(ask: Asked) -> None:
    rules = {"DisabledTaskDrivers": ["mock_driver"]}
    await ask.put("/v1/namespace/strict", {"Name": "strict", "Capabilities": rules})
    body = request_job(a_job(id="web", namespace="strict"))
    message = '1 error occurred:\n\t* used task driver "mock_driver" is not allowed in namespace "strict"\n\n'
    assert await ask.refused("PUT", "/v1/jobs", body) == (500, message)
    assert (await ask.put("/v1/validate/job", body))["Error"] == message


async def test_a_job_file_is_parsed_with_and_without_defaults(ask: Asked) -> None:
    text = 'job "web" {\n  group "app" {\n    task "t" {\n      driver = "raw_exec"\n    }\n  }\n}\n'
    bare = await ask.put("/v1/jobs/parse", {"JobHCL": text})
    assert (bare["ID"], bare["Priority"]) == ("web", None)
    assert (await ask.put("/v1/jobs/parse", {"JobHCL": text, "Canonicalize": True}))["Namespace"] == "default"
    status, message = await ask.refused("PUT", "/v1/jobs/parse", {"JobHCL": "job {"})
    assert status == 400
    assert message.startswith("Failed to parse job: input.hcl:1,")


async def test_validation_answers_200_whatever_it_finds(ask: Asked) -> None:
    answer = await ask.put("/v1/validate/job", b'{"Job": {"ID": "web", "Datacenters": ["dc1"]}}')
    assert answer["ValidationErrors"] == ["Missing job task groups"]
    assert answer["Error"] == "1 error occurred:\n\t* Missing job task groups\n\n"
    assert (await ask.put("/v1/validate/job", request_job(a_job())))["ValidationErrors"] is None
