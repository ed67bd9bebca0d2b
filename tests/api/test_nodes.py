from __future__ import annotations

import pytest

from raftnomad.fsm.commands import RegisterJob, RegisterNode
from tests.api.conftest import Asked
from tests.api.test_client_agents import placed
from tests.makers import a_job, a_node, an_evaluation, an_id

NODE = a_node()


@pytest.fixture
async def node(ask: Asked) -> str:
    await ask.propose(RegisterNode(node=NODE))
    return NODE.id


async def test_a_node_is_shown_without_its_secret(ask: Asked, node: str) -> None:
    shown = await ask.get(f"/v1/node/{node}")
    assert (shown["SecretID"], shown["Drain"], shown["Status"]) == ("", False, "ready")
    assert NODE.secret_id not in str(await ask.get("/v1/nodes?resources=true"))


async def test_the_list_shows_resources_and_system_when_asked(ask: Asked, node: str) -> None:
    (stub,) = await ask.get("/v1/nodes")
    assert (stub["Address"], stub["Version"], stub["Drain"]) == ("127.0.0.1", "2.0.6", False)
    assert not {"Attributes", "NodeResources", "ReservedResources"} & set(stub)
    (full,) = await ask.get("/v1/nodes?resources=true&os=true")
    assert full["NodeResources"]["Memory"]["MemoryMB"] == 8192
    assert full["Attributes"] == {"os.name": ""}


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/v1/node/", 500, "missing node ID"),
        ("/v1/node/node1", 500, "node lookup failed: index error: UUID must be 36 characters"),
        (f"/v1/node/{an_id(9, 'none')}", 404, "node not found"),
        ("/v1/nodes?prefix=abc", 500, "node lookup failed: index error: Input (without hyphens) must be even length"),
        (
            "/v1/nodes?prefix=zz",
            500,
            "node lookup failed: index error: Invalid UUID: encoding/hex: invalid byte: U+007A 'z'",
        ),
        (
            "/v1/nodes?os=7",
            400,
            'Failed to parse node list fields: Failed to parse value of "os" (7) as a bool: '
            'strconv.ParseBool: parsing "7": invalid syntax',
        ),
    ],
)
async def test_bad_questions_about_nodes_are_refused(
    ask: Asked, node: str, target: str, status: int, message: str
) -> None:
    assert await ask.refused("GET", target) == (status, message)


async def test_eligibility_is_taken_and_given_back(ask: Asked, node: str) -> None:
    written = await ask.put(f"/v1/node/{node}/eligibility", {"Eligibility": "ineligible"})
    assert (written["EvalIDs"], written["NodeModifyIndex"]) == (None, 0)
    assert (await ask.get(f"/v1/node/{node}"))["SchedulingEligibility"] == "ineligible"
    assert (await ask.put(f"/v1/node/{node}/eligibility", {"Eligibility": "ineligible"}))["Index"] == 0
    assert await ask.refused("PUT", f"/v1/node/{node}/eligibility", {"Eligibility": "maybe"}) == (
        500,
        'invalid scheduling eligibility "maybe"',
    )
    await ask.put(f"/v1/node/{node}/eligibility", {"eligibility": "eligible"})
    assert (await ask.get(f"/v1/node/{node}"))["SchedulingEligibility"] == "eligible"


async def test_a_drain_begins_is_seen_and_ends(ask: Asked, node: str) -> None:
    drain = {"DrainSpec": {"Deadline": 3600 * 10**9, "IgnoreSystemJobs": True}, "Meta": {"message": "kernel"}}
    written = await ask.put(f"/v1/node/{node}/drain", drain)
    assert written["NodeModifyIndex"] == written["Index"]
    shown = await ask.get(f"/v1/node/{node}")
    assert shown["Drain"] is True
    assert (shown["DrainStrategy"]["Deadline"], shown["SchedulingEligibility"]) == (3600 * 10**9, "ineligible")
    assert shown["LastDrain"]["Meta"] == {"message": "kernel"}
    assert await ask.refused("PUT", f"/v1/node/{node}/eligibility", {"Eligibility": "eligible"}) == (
        500,
        "can not set node's scheduling eligibility to eligible while it is draining",
    )
    await ask.put(f"/v1/node/{node}/drain", {"DrainSpec": None, "MarkEligible": True})
    shown = await ask.get(f"/v1/node/{node}")
    assert (shown["Drain"], shown["SchedulingEligibility"]) == (False, "eligible")
    status, message = await ask.refused("PUT", f"/v1/node/{node}/drain", b'{"DrainSpec": {"Deadline": "1h"}}')
    assert (status, message) == (
        400,
        "json: cannot unmarshal string into Go struct field DrainSpec.DrainSpec.Deadline of type time.Duration",
    )


async def test_evaluating_a_node_makes_an_evaluation_for_each_of_its_jobs(ask: Asked, node: str) -> None:
    assert (await ask.put(f"/v1/node/{node}/evaluate"))["EvalIDs"] is None
    await placed(ask)
    system = a_job(id="everywhere", type="system")
    await ask.propose(RegisterJob(job=system, evaluation=an_evaluation(2, job=system)))
    answer = await ask.put(f"/v1/node/{node}/evaluate")
    made = [await ask.get(f"/v1/evaluation/{identifier}") for identifier in answer["EvalIDs"]]
    assert sorted(evaluation["JobID"] for evaluation in made) == ["everywhere", "web"]
    assert {evaluation["TriggeredBy"] for evaluation in made} == {"node-update"}
    assert answer["LeaderRPCAddr"] == "127.0.0.1:4647"


async def test_a_purged_node_is_gone(ask: Asked, node: str) -> None:
    await placed(ask)
    answer = await ask.put(f"/v1/node/{node}/purge")
    assert len(answer["EvalIDs"]) == 1
    assert await ask.refused("GET", f"/v1/node/{node}") == (404, "node not found")
    assert await ask.refused("PUT", f"/v1/node/{node}/purge") == (500, "node not found")


async def test_the_allocations_of_a_node_are_whole(ask: Asked, node: str) -> None:
    identifier = await placed(ask)
    (alloc,) = await ask.get(f"/v1/node/{node}/allocations")
    assert (alloc["ID"], alloc["Job"]["ID"]) == (identifier, "web")


async def test_node_pools_are_made_listed_and_deleted(ask: Asked, node: str) -> None:
    await ask.put("/v1/node/pools", {"Name": "gpu", "Description": "with cards"})
    assert [pool["Name"] for pool in await ask.get("/v1/node/pools")] == ["all", "default", "gpu"]
    assert (await ask.get("/v1/node/pool/gpu"))["NodeIdentityTTL"] == 24 * 3600 * 10**9
    assert [stub["ID"] for stub in await ask.get("/v1/node/pool/all/nodes")] == [node]
    assert await ask.get("/v1/node/pool/gpu/nodes") == []
    assert await ask.get("/v1/node/pool/gpu/jobs") == []
    assert (await ask("DELETE", "/v1/node/pool/gpu")).status == 200
    assert await ask.refused("DELETE", "/v1/node/pool/gpu") == (500, "node pool gpu not found")
    assert await ask.refused("PUT", "/v1/node/pool/all", {"Name": "all"}) == (
        400,
        'modifying node pool "all" is not allowed',
    )
    assert await ask.refused("PUT", "/v1/node/pools", {"Name": "no good"}) == (
        400,
        'invalid node pool "no good": 1 error occurred:\n'
        '\t* invalid name "no good", must match regex ^[a-zA-Z0-9-_]{1,128}$\n\n',
    )


async def test_namespaces_are_made_listed_and_deleted(ask: Asked) -> None:
    await ask.put("/v1/namespace/team", {"Name": "team", "Description": "A team"})
    assert [namespace["Name"] for namespace in await ask.get("/v1/namespaces")] == ["default", "team"]
    assert (await ask.get("/v1/namespace/team"))["Description"] == "A team"
    assert await ask.refused("PUT", "/v1/namespace/team", {"Name": "x"}) == (
        400,
        "Namespace name does not match request path",
    )
    assert (await ask("DELETE", "/v1/namespace/team")).status == 200
    assert await ask.refused("GET", "/v1/namespace/team") == (404, "Namespace not found")
    assert await ask.refused("DELETE", "/v1/namespace/default") == (500, "can not delete default namespace")


async def test_pools_and_namespaces_have_the_hash_that_nomad_gives_them(ask: Asked) -> None:
    await ask.put("/v1/node/pools", {"Name": "edge", "Description": "Small machines", "Meta": {"site": "north"}})
    assert (await ask.get("/v1/node/pool/edge"))["Hash"] == "G/kO+ruOUom5mEtJxnr2VT4STprCdrKOS00Qna+mU5E="
    assert (await ask.get("/v1/node/pool/default"))["Hash"] is None
    await ask.put("/v1/namespace", {"Name": "team", "Description": "A team", "Meta": {"owner": "ann", "room": "7"}})
    assert (await ask.get("/v1/namespace/team"))["Hash"] == "zPWYnBUXhAIQ14v8J15BAd/aR+xlZPRVKZzw4cm8o18="
