from __future__ import annotations

import json

import pytest

from raftnomad.fsm.commands import ApplyPlan, RegisterJob, RegisterNode, UpdateDeployment, UpsertEvaluations
from tests.api.conftest import Asked
from tests.api.test_client_agents import placed
from tests.makers import a_deployment, a_job, a_node, a_plan, an_evaluation, an_id


@pytest.fixture
async def alloc(ask: Asked) -> str:
    await ask.propose(RegisterNode(node=a_node()))
    return await placed(ask)


async def test_an_allocation_is_shown_with_its_job(ask: Asked, alloc: str) -> None:
    answer = await ask("GET", f"/v1/allocation/{alloc}")
    shown = json.loads(answer.body)
    assert (shown["Job"]["ID"], shown["JobID"], shown["ClientStatus"]) == ("web", "web", "pending")
    assert answer.headers["X-Nomad-Index"] == str(shown["ModifyIndex"])
    assert "FollowupEvalID" not in shown


async def test_it_is_found_whatever_the_namespace(ask: Asked, alloc: str) -> None:
    assert (await ask.get(f"/v1/allocation/{alloc}?namespace=nope"))["ID"] == alloc


async def test_lists_show_stubs(ask: Asked, alloc: str) -> None:
    (stub,) = await ask.get("/v1/allocations")
    assert (stub["ID"], stub["JobType"], stub["JobVersion"]) == (alloc, "service", 0)
    assert "AllocatedResources" not in stub
    assert "Job" not in stub
    (full,) = await ask.get(f"/v1/allocations?resources=true&prefix={alloc[:8]}")
    assert full["AllocatedResources"]["Shared"]["DiskMB"] == 300
    for target in ("/v1/job/web/allocations", f"/v1/evaluation/{an_id(1, 'eval')}/allocations"):
        assert [row["ID"] for row in await ask.get(target)] == [alloc]


async def test_pages_are_by_creation_and_by_id_under_a_prefix(ask: Asked, alloc: str) -> None:
    second = await placed(ask, number=2)
    answer = await ask("GET", "/v1/allocations?per_page=1")
    created = ask.server.state.allocations[second].create_index
    assert answer.headers["X-Nomad-NextToken"] == f"{created}.{second}"
    answer = await ask("GET", f"/v1/allocations?per_page=1&prefix={alloc[:8]}")
    assert answer.headers["X-Nomad-NextToken"] == second
    answer = await ask("GET", f"/v1/allocations?next_token={created}.{second}")
    assert [row["ID"] for row in json.loads(answer.body)] == [second]
    assert await ask.get("/v1/allocations?next_token=x&per_page=1") == []


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/v1/allocation/nope", 500, "alloc lookup failed: index error: UUID must be 36 characters"),
        (f"/v1/allocation/{an_id(9, 'none')}", 404, "alloc not found"),
        (f"/v1/allocation/{an_id(9, 'none')}/nope", 404, "resource not found"),
        (
            "/v1/allocations?prefix=00-00-00-00-00-00",
            500,
            'alloc lookup failed: index error: UUID should have maximum of 4 "-"; got 5',
        ),
        (
            "/v1/evaluation/x",
            500,
            "failed to lookup eval: eval lookup failed: index error: UUID must be 36 characters",
        ),
        (f"/v1/evaluation/{an_id(9, 'none')}", 404, "eval not found"),
        (
            "/v1/evaluations?filter=ID+==+x&status=complete",
            400,
            "Filter expression cannot be used with other filter parameters",
        ),
        ("/v1/deployment/", 500, "missing deployment ID"),
        ("/v1/deployment/x", 500, "deployment lookup failed: index error: UUID must be 36 characters"),
        (f"/v1/deployment/{an_id(9, 'none')}", 404, "deployment not found"),
    ],
)
async def test_bad_questions_are_refused(ask: Asked, target: str, status: int, message: str) -> None:
    assert await ask.refused("GET", target) == (status, message)


async def test_stopping_asks_for_a_move(ask: Asked, alloc: str) -> None:
    answer = await ask.put(f"/v1/allocation/{alloc}/stop?no_shutdown_delay=true")
    shown = await ask.get(f"/v1/allocation/{alloc}")
    assert shown["DesiredTransition"]["Migrate"] is True
    assert shown["DesiredTransition"]["NoShutdownDelay"] is True
    assert (await ask.get(f"/v1/evaluation/{answer['EvalID']}"))["TriggeredBy"] == "alloc-stop"
    assert await ask.refused("PUT", f"/v1/allocation/{an_id(9, 'none')}/stop") == (404, "allocation not found")


async def test_evaluations_are_listed_counted_and_related(ask: Asked) -> None:
    first = an_evaluation(1, next_eval=an_id(2, "eval"), status="complete")
    second = an_evaluation(2, job=a_job(id="api"), previous_eval=first.id, status="blocked")
    await ask.propose(UpsertEvaluations(evaluations=(first, second), epoch=ask.server.state.epoch))
    assert [row["ID"] for row in await ask.get("/v1/evaluations?status=blocked")] == [second.id]
    assert [row["ID"] for row in await ask.get("/v1/evaluations?job=web")] == [first.id]
    counted = await ask.get("/v1/evaluations/count?filter=JobID+==+api")
    assert (counted["Count"], counted["KnownLeader"]) == (1, True)
    related = await ask.get(f"/v1/evaluation/{first.id}?related=true")
    assert [row["ID"] for row in related["RelatedEvals"]] == [second.id]


@pytest.fixture
async def deployment(ask: Asked) -> str:
    await ask.propose(RegisterNode(node=a_node()))
    await ask.propose(RegisterJob(job=a_job(), evaluation=an_evaluation()))
    job = ask.server.state.jobs["default", "web"]
    await ask.propose(ApplyPlan(plan=a_plan(job, deployment=a_deployment(job=job)), epoch=ask.server.state.epoch))
    return a_deployment().id


async def test_a_deployment_is_paused_resumed_and_failed(ask: Asked, deployment: str) -> None:
    paused = await ask.put(f"/v1/deployment/pause/{deployment}", {"DeploymentID": deployment, "Pause": True})
    assert (paused["EvalID"], paused["RevertedJobVersion"]) == ("", None)
    assert (await ask.get(f"/v1/deployment/{deployment}"))["Status"] == "paused"
    resumed = await ask.put(f"/v1/deployment/pause/{deployment}", {"DeploymentID": deployment, "Pause": False})
    assert (await ask.get(f"/v1/evaluation/{resumed['EvalID']}"))["DeploymentID"] == deployment
    assert (await ask.get("/v1/job/web/deployment"))["Status"] == "running"
    await ask.put(f"/v1/deployment/fail/{deployment}")
    assert (await ask.get("/v1/deployments"))[0]["StatusDescription"] == "Deployment marked as failed"
    assert await ask.refused("PUT", f"/v1/deployment/fail/{deployment}") == (500, "can't fail terminal deployment")


async def test_promoting_and_setting_health_need_the_right_ids(ask: Asked, deployment: str) -> None:
    promoted = await ask.put(f"/v1/deployment/promote/{deployment}", {"DeploymentID": deployment, "All": True})
    assert promoted["EvalID"]
    for route, body, message in (
        ("promote", {"All": True}, "DeploymentID must be specified"),
        ("promote", {"DeploymentID": "x"}, "Deployment ID does not match"),
        ("allocation-health", {}, "DeploymentID must be specified"),
    ):
        assert await ask.refused("PUT", f"/v1/deployment/{route}/{deployment}", body) == (400, message)
    health = {"DeploymentID": deployment, "HealthyAllocationIDs": [an_id(9, "none")]}
    assert await ask.refused("PUT", f"/v1/deployment/allocation-health/{deployment}", health) == (
        500,
        f'unknown alloc "{an_id(9, "none")}"',
    )
    unblocked = await ask.put(f"/v1/deployment/unblock/{deployment}", {"DeploymentID": deployment})
    assert unblocked["DeploymentModifyIndex"] == 0


async def test_a_deployment_that_is_over_takes_no_orders(ask: Asked, deployment: str) -> None:
    done = UpdateDeployment(deployment_id=deployment, status="successful", epoch=ask.server.state.epoch)
    await ask.propose(done)
    for route, message in (("promote", "promote"), ("pause", "resume")):
        body = {"DeploymentID": deployment}
        assert await ask.refused("PUT", f"/v1/deployment/{route}/{deployment}", body) == (
            500,
            f"can't {message} terminal deployment",
        )
