from __future__ import annotations

import json

import pytest

from raftnomad.api.metrics import metrics
from raftnomad.api.routes import ENTERPRISE, NOT_BUILT, SERVER_ROUTES
from raftnomad.telemetry import Registry
from raftnomad.web import Request, Response
from tests.api.conftest import Asked, request_job
from tests.makers import a_job

ID = "11111111-1111-4111-8111-111111111111"


async def test_a_server_tells_who_leads_and_who_votes(ask: Asked) -> None:
    assert await ask.get("/v1/status/leader") == "127.0.0.1:4647"
    assert await ask.get("/v1/status/peers") == ["127.0.0.1:4647"]
    assert await ask.get("/v1/regions") == ["global"]
    configuration = await ask.get("/v1/operator/raft/configuration")
    assert configuration == {
        "Servers": [
            {
                "ID": ID,
                "Node": "server1.global",
                "Address": "127.0.0.1:4647",
                "Leader": True,
                "Voter": True,
                "RaftProtocol": "3",
            }
        ],
        "Index": 0,
    }


async def test_health_is_json_even_when_it_is_bad(ask: Asked) -> None:
    assert await ask.get("/v1/agent/health") == {"server": {"ok": True, "message": "ok"}}
    status, text = await ask.refused("GET", "/v1/agent/health?type=client")
    assert (status, json.loads(text)) == (500, {"client": {"ok": False, "message": "client not enabled"}})
    assert await ask.get("/v1/agent/health?type=nonsense") == {}
    ask.log.leading = False
    assert await ask.refused("GET", "/v1/agent/health") == (
        500,
        '{"server":{"ok":false,"message":"No cluster leader"}}',
    )


async def test_members_and_self_name_the_server(ask: Asked) -> None:
    members = await ask.get("/v1/agent/members?region=moon")
    assert (members["ServerName"], members["ServerRegion"], members["ServerDC"]) == ("server1", "global", "dc1")
    assert [member["Name"] for member in members["Members"]] == ["server1"]
    own = await ask.get("/v1/agent/self")
    assert own["stats"]["nomad"]["leader"] == "true"
    assert own["config"] == {}


@pytest.mark.parametrize(
    ("method", "target", "status", "message"),
    [
        ("PUT", "/v1/agent/join", 400, "missing address to join"),
        ("GET", "/v1/agent/servers", 501, "Invalid method"),
        ("GET", "/v1/agent/members?index=x", 400, "Invalid index"),
        ("GET", "/v1/status/leader?wait=x", 400, "Invalid wait time"),
        ("GET", "/v1/status/leader?region=moon", 500, "No path to region"),
        ("GET", "/v1/jobs?region=moon", 500, "No path to region"),
        ("PUT", "/v1/regions", 405, "Invalid method"),
        ("DELETE", "/v1/jobs", 405, "Invalid method"),
        ("GET", "/v1/system/gc", 405, "Invalid method"),
        ("POST", "/v1/system/gc", 405, "Invalid method"),
        ("GET", "/v1/operator/raft/nonsense", 404, "Invalid method"),
        ("PUT", f"/v1/operator/raft/peer?id={ID}", 404, "Invalid method"),
        ("DELETE", "/v1/operator/raft/peer", 400, "Must specify the peer's ID to remove"),
        ("DELETE", "/v1/operator/raft/peer?id=", 500, 'id "" was not found in the Raft configuration'),
        ("PUT", "/v1/operator/raft/transfer-leadership", 400, "must specify id or address"),
        ("PUT", "/v1/operator/raft/transfer-leadership?id=a&address=b", 400, "must specify either id or address"),
        ("PUT", "/v1/operator/raft/transfer-leadership?id=a&id=b", 400, "must specify only one id"),
        ("PUT", "/v1/operator/raft/transfer-leadership?id=", 400, "id must be non-empty"),
        ("PUT", "/v1/operator/raft/transfer-leadership?id=x", 400, "id must be a uuid: uuid string is wrong length"),
        (
            "PUT",
            "/v1/operator/raft/transfer-leadership?address=server2",
            400,
            "address must be in IP:port format: not an ip:port",
        ),
        ("GET", "/v1/quotas", 501, "Nomad Enterprise only endpoint"),
        ("PATCH", "/v1/sentinel/policy/x", 501, "Nomad Enterprise only endpoint"),
    ],
)
async def test_bad_questions_are_refused_as_nomad_refuses_them(
    ask: Asked, method: str, target: str, status: int, message: str
) -> None:
    assert await ask.refused(method, target) == (status, message)


async def test_handing_leadership_to_the_leader_does_nothing(ask: Asked) -> None:
    answer = await ask.put(f"/v1/operator/raft/transfer-leadership?id={ID}")
    peer = {"Address": "127.0.0.1:4647", "ID": ID}
    assert answer == {"From": peer, "To": peer, "Noop": True, "Err": None}


async def test_the_schedulers_settings_are_replaced_as_a_whole_under_a_check(ask: Asked) -> None:
    target = "/v1/operator/scheduler/configuration"
    assert (await ask.get(target))["SchedulerConfig"]["SchedulerAlgorithm"] == "binpack"
    written = await ask.put(
        target, {"SchedulerAlgorithm": "spread", "PreemptionConfig": {"BatchSchedulerEnabled": True}}
    )
    assert written["Updated"] is True
    read = await ask.get(target)
    assert (read["SchedulerConfig"]["SchedulerAlgorithm"], read["Index"]) == ("spread", written["Index"])
    assert (await ask.put(f"{target}?cas=1", {}))["Updated"] is False
    assert (await ask.put(f"{target}?cas={written['Index']}", b"null"))["Updated"] is True
    read = await ask.get(target)
    assert read["SchedulerConfig"]["SchedulerAlgorithm"] == "binpack"
    assert read["SchedulerConfig"]["PreemptionConfig"]["SystemSchedulerEnabled"] is False
    assert await ask.refused("PUT", target, {"SchedulerAlgorithm": "random"}) == (
        400,
        "invalid scheduler algorithm: random",
    )
    assert (await ask.refused("PUT", target))[1] == "Error parsing scheduler config: Request body is empty"


async def test_garbage_is_collected_and_summaries_are_recounted(ask: Asked) -> None:
    assert (await ask("PUT", "/v1/system/gc")).body == b""
    assert (await ask("PUT", "/v1/system/reconcile/summaries")).status == 200


async def test_search_completes_ids_and_names(ask: Asked) -> None:
    for id in ("web", "webapp", "api"):
        await ask.put("/v1/jobs", request_job(a_job(id=id)))
    found = await ask.put("/v1/search", {"Prefix": "web", "Context": "jobs"})
    assert found["Matches"] == {"jobs": ["web", "webapp"]}
    assert found["Truncations"] == {"jobs": False}
    (identifier, *_) = ask.server.state.evaluations
    found = await ask.put("/v1/search", {"Prefix": identifier[:8], "Context": "evals"})
    assert found["Matches"] == {"evals": [identifier]}
    assert (await ask.put("/v1/search", {"Prefix": "zzz", "Context": "jobs"}))["Matches"] == {"jobs": None}
    assert (await ask.put("/v1/search", {"Prefix": "node1", "Context": "nodes"}))["Matches"] == {}
    everything = (await ask.put("/v1/search", {"Prefix": "web", "Context": "all"}))["Matches"]
    assert everything["jobs"] == ["web", "webapp"]
    assert not {"allocs", "nodes", "evals", "deployment"} & set(everything)
    status, message = await ask.refused("PUT", "/v1/search", {"Prefix": "web"})
    assert status == 500
    assert message.endswith("or 'all' for all contexts; got \"\"")


async def test_search_is_cut_at_twenty(ask: Asked) -> None:
    for i in range(22):
        await ask.put("/v1/jobs", request_job(a_job(id=f"item-{i:02}")))
    found = await ask.put("/v1/search", {"Prefix": "item", "Context": "jobs"})
    assert (len(found["Matches"]["jobs"]), found["Truncations"]["jobs"]) == (20, True)


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/", 307, "/ui/"),
        ("/?a=b", 307, "/ui/?a=b"),
        ("/v1/job", 307, "/v1/job/"),
        ("/v1//jobs", 307, "/v1/jobs"),
        ("/v1/nope", 404, ""),
        ("/v1/jobs/", 404, ""),
        ("/v1", 404, ""),
        ("/nope", 404, ""),
        ("/ui/", 200, ""),
    ],
)
async def test_paths_outside_of_the_table(ask: Asked, path: str, status: int, location: str) -> None:
    answer = await ask("GET", path)
    assert (answer.status, answer.headers.get("Location", "")) == (status, location)
    if status == 404:
        assert answer.body == b""


async def test_pretty_is_for_people(ask: Asked) -> None:
    assert (await ask("GET", "/v1/regions?pretty")).body == b'[\n    "global"\n]\n'
    assert (await ask("GET", "/v1/regions?pretty=0")).body == b'["global"]'


async def test_a_mistake_of_ours_is_500_and_not_the_end(ask: Asked) -> None:
    del ask.server.state
    status, message = await ask.refused("GET", "/v1/jobs")
    assert status == 500
    assert "made a mistake in GET /v1/jobs" in message


def test_each_path_and_method_stands_once_in_the_table() -> None:
    rows = [(method, pattern) for methods, pattern, _, _ in SERVER_ROUTES for method in methods]
    rows += [(method, pattern) for methods, pattern, _ in NOT_BUILT for method in methods]
    rows += [("*", pattern) for pattern in ENTERPRISE]
    assert len(rows) == len(set(rows))
    assert all(access for _, _, _, access in SERVER_ROUTES)


def test_metrics_are_shown_as_json_and_for_prometheus() -> None:
    now = 0.0
    registry = Registry(lambda: now)
    registry.count("nomad.client.allocs.start", 2)
    registry.sample("nomad.http.request", 5, (("route", 'a"b'),))
    registry.gauges_from(lambda: [("nomad.broker.total_ready", 3.0)])
    answer = metrics(registry, 1_700_000_005 * 10**9, Request(method="GET", path="/v1/metrics"))
    assert isinstance(answer, Response)
    shown = json.loads(answer.body)
    assert shown["Timestamp"] == "2023-11-14 22:13:20 +0000 UTC"
    assert shown["Gauges"] == [{"Name": "nomad.broker.total_ready", "Value": 3.0, "Labels": {}}]
    assert (shown["Counters"][0]["Sum"], shown["Samples"][0]["Mean"]) == (2, 5)
    asked = Request(method="GET", path="/v1/metrics", query=(("format", "prometheus"),))
    text = metrics(registry, 0, asked)
    assert isinstance(text, Response)
    lines = text.body.decode().splitlines()
    assert "nomad_broker_total_ready 3" in lines
    assert "nomad_client_allocs_start 2" in lines
    assert 'nomad_http_request_sum{route="a\\"b"} 5' in lines


def test_an_interval_shows_what_happened_in_it() -> None:
    now = 0.0
    registry = Registry(lambda: now)
    registry.count("a", 1)
    now = 11.0
    registry.count("a", 5)
    assert registry.interval()[0]["a", ()].sum == 1
    now = 22.0
    assert registry.interval()[0]["a", ()].sum == 5
    assert registry.totals[0]["a", ()].sum == 6


async def test_a_servers_metrics_tell_what_its_state_holds(ask: Asked) -> None:
    await ask.put("/v1/jobs", request_job(a_job()))
    gauges = {row["Name"]: row["Value"] for row in (await ask.get("/v1/metrics"))["Gauges"]}
    assert gauges["nomad.state.jobs"] == 1
    assert gauges["nomad.state.index"] == ask.server.state.index
