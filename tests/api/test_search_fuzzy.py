from __future__ import annotations

import pytest

from raftnomad.api.api import AgentFacts, Api
from raftnomad.api.context import FuzzyLimits
from raftnomad.model.service import Service
from tests.api.conftest import Asked, request_job
from tests.makers import a_group, a_job, a_task


@pytest.fixture
async def jobs(ask: Asked) -> None:
    nginx = a_task(name="nginx", driver="docker", config={"image": "nginx:1.2"})
    sleeper = a_task(name="webserver", driver="raw_exec", config={"command": "/bin/sleep"})
    front = a_group(
        name="front", count=0, tasks=(nginx, sleeper), services=(Service(name="web-http", provider="nomad"),)
    )
    await ask.put("/v1/jobs", request_job(a_job(id="webapp", task_groups=(front,))))
    await ask.put("/v1/jobs", request_job(a_job(id="other")))


async def found(ask: Asked, text: str, context: str = "jobs") -> dict[str, list[str]]:
    answer = await ask.put("/v1/search/fuzzy", {"Text": text, "Context": context})
    return {kind: [match["ID"] for match in matches] for kind, matches in answer["Matches"].items()}


@pytest.mark.usefixtures("jobs")
async def test_jobs_are_found_by_a_part_of_any_name_in_them(ask: Asked) -> None:
    assert await found(ask, "WEB") == {
        "groups": ["web"],
        "jobs": ["webapp"],
        "services": ["web-http"],
        "tasks": ["webserver"],
    }
    assert await found(ask, "nginx:") == {"images": ["nginx:1.2"]}
    assert await found(ask, "sleep") == {"commands": ["/bin/sleep"]}
    answer = await ask.put("/v1/search/fuzzy", {"Text": "nginx", "Context": "jobs"})
    assert answer["Matches"]["tasks"] == [{"ID": "nginx", "Scope": ["default", "webapp", "front"]}]


@pytest.mark.usefixtures("jobs")
async def test_what_has_no_name_is_found_by_the_beginning_of_its_id(ask: Asked) -> None:
    evaluation = (await ask.get("/v1/evaluations"))[0]["ID"]
    assert await found(ask, evaluation[:8], "evals") == {"evals": [evaluation]}
    assert (await found(ask, "webapp", "all"))["evals"] == []


async def test_a_text_that_is_too_short_is_refused(ask: Asked) -> None:
    body = {"Text": "w", "Context": "jobs"}
    told = (500, "fuzzy search query must be at least 2 characters, got 1")
    assert await ask.refused("PUT", "/v1/search/fuzzy", body) == told


@pytest.mark.usefixtures("jobs")
async def test_an_operator_may_bound_or_forbid_it(ask: Asked) -> None:
    own = ask.api

    async def found_within(limits: FuzzyLimits, text: str) -> dict[str, list[str]]:
        ask.api = Api(server=ask.server, facts=AgentFacts(fuzzy_limits=limits))
        try:
            return await found(ask, text)
        finally:
            await ask.api.close()
            ask.api = own

    everywhere = await found(ask, "er")
    assert everywhere["tasks"] == ["server", "webserver"]
    assert (await found_within(FuzzyLimits(objects_max=1), "er"))["tasks"] == ["server"]
    assert (await found_within(FuzzyLimits(results_max=1), "er"))["tasks"] == ["server"]
    ask.api = Api(server=ask.server, facts=AgentFacts(fuzzy_limits=FuzzyLimits(enabled=False)))
    assert (await ask.refused("PUT", "/v1/search/fuzzy", {"Text": "web", "Context": "jobs"}))[1].endswith("not enabled")
    await ask.api.close()
    ask.api = own
