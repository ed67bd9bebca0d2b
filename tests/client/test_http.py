"""The routes that a client agent serves, with the answers that Nomad's clients expect."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from raftnomad.client.client import Client
from raftnomad.client.http import routes
from raftnomad.errors import RaftnomadError
from raftnomad.model.job import LogConfig
from raftnomad.web import Request, Response, Stream
from tests.client.fake_server import FakeServer
from tests.client.makers import a_group, a_job, a_task, an_alloc


class Agent:
    """Calls handlers as a router would; what a handler raises becomes its status and text."""

    def __init__(self, client: Client) -> None:
        self._routes = {route.pattern: route for route in routes(client) if "GET" in route.methods}
        self._writes = {route.pattern: route for route in routes(client) if "POST" in route.methods}
        self.id = ""

    async def get(self, pattern: str, id: str = "", **query: str) -> tuple[int, Any]:
        return await self._call(self._routes[pattern], "GET", id, query, b"")

    async def post(self, pattern: str, body: Any = None, id: str = "", **query: str) -> tuple[int, Any]:
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._call(self._writes[pattern], "POST", id, query, content)

    async def _call(self, route: Any, method: str, id: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        id = id or self.id
        request = Request(
            method=method,
            path=route.pattern.replace("{id}", id),
            query=tuple(query.items()),
            parameters={"id": id},
            body=body,
        )
        try:
            answer = await route.handler(request)
        except RaftnomadError as error:
            return error.status, str(error)
        if isinstance(answer, Stream):
            content = b"".join([frame async for frame in answer.frames])
            kind = answer.content_type
        else:
            assert isinstance(answer, Response)
            content, kind = answer.body, answer.content_type
        if kind == "application/json" and content and not isinstance(answer, Stream):
            return answer.status, json.loads(content)
        return answer.status, content.decode("utf-8", "replace")


LS, STAT, CAT = "/v1/client/fs/ls/{id}", "/v1/client/fs/stat/{id}", "/v1/client/fs/cat/{id}"
READAT, STREAM, LOGS = "/v1/client/fs/readat/{id}", "/v1/client/fs/stream/{id}", "/v1/client/fs/logs/{id}"
RESTART, SIGNAL = "/v1/client/allocation/{id}/restart", "/v1/client/allocation/{id}/signal"
GC, ALLOC_STATS = "/v1/client/allocation/{id}/gc", "/v1/client/allocation/{id}/stats"
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def agent(server: FakeServer, client: Client) -> AsyncIterator[Agent]:
    """One running allocation: `web` has written three lines, `quiet` must not, `pre` is over."""
    group = a_group(
        a_task(config={"run_for": "60s", "stdout_string": "one\ntwo\nthree\n", "signal_error": "not today"}),
        a_task("quiet", log_config=LogConfig(max_files=1, max_file_size_mb=1, disabled=True)),
        a_task("pre", hook="prestart", config={"run_for": "10ms"}),
        a_task("after", hook="poststop"),
    )
    alloc = an_alloc(a_job(group))
    await server.place(alloc)
    await server.reported(
        alloc.id, lambda r: all((r.task_states or {})[name].state == "running" for name in ("web", "quiet"))
    )
    log = client.allocations[alloc.id].directory.logs / "web.stdout.0"
    await server.until(lambda: log.exists() and log.stat().st_size == 14)
    made = Agent(client)
    made.id = alloc.id
    local = client.allocations[alloc.id].directory.root / "web" / "local"
    (local / "hex").write_text("0123456789abcdef")
    (local / "page.html").write_text("<html><b>x</b></html>")
    (local / "link").symlink_to("hex")
    (local / "outside").symlink_to("/etc/passwd")
    (local / "climb").symlink_to("../../../../x")
    (local.parent / "secrets" / "key").write_text("s")
    (local / "secret").symlink_to("../secrets/key")
    yield made


async def test_directories_are_listed_with_gos_modes(agent: Agent) -> None:
    status, entries = await agent.get(LS, path="/")
    assert status == 200
    assert [(e["Name"], e["FileMode"], e["IsDir"]) for e in entries if e["Name"] in ("alloc", "web")] == [
        ("alloc", "drwxrwxrwx", True),
        ("web", "drwxrwxrwx", True),
    ]
    _, entries = await agent.get(LS, path="web")
    assert [e["FileMode"] for e in entries if e["Name"] == "tmp"] == ["dtrwxrwxrwx"]
    _, entries = await agent.get(LS, path="web/local")
    assert [e["FileMode"] for e in entries if e["Name"] == "link"] == ["Lrwxrwxrwx"]


async def test_a_link_is_described_by_its_file(agent: Agent) -> None:
    _, info = await agent.get(STAT, path="web/local/link")
    assert (info["Name"], info["Size"], info["ContentType"]) == ("link", 16, "text/plain; charset=utf-8")


@pytest.mark.parametrize("path", ["../x", "../../..", "web/local/outside", "web/local/climb", "alloc/../../x"])
async def test_no_path_leads_out_of_the_allocation(agent: Agent, path: str) -> None:
    assert await agent.get(STAT, path=path) == (500, "Path escapes the alloc directory")
    assert await agent.get(CAT, path=path) == (200, "Path escapes the alloc directory")


@pytest.mark.parametrize("path", ["web/secrets/key", "web/local/secret"])
async def test_secrets_can_be_listed_but_not_read(agent: Agent, path: str) -> None:
    assert await agent.get(CAT, path=path) == (200, f"Reading secret file prohibited: {path}")
    status, entries = await agent.get(LS, path="web/secrets")
    assert (status, [entry["Name"] for entry in entries]) == (200, ["key"])


async def test_errors_of_files_are_worded_and_numbered_as_nomads(agent: Agent) -> None:
    status, text = await agent.get(LS, path="nope")
    assert status == 404 and text.endswith("/nope: no such file or directory") and text.startswith("open /")
    status, text = await agent.get(LS, path="web/local/hex")
    assert status == 500 and text.endswith("hex: not a directory")
    assert await agent.get(STAT) == (400, "must provide a file name")
    assert await agent.get(CAT, path="web/local") == (200, 'file "web/local" is a directory')
    assert await agent.get(CAT) == (200, "must provide a file name")
    assert await agent.get(LS, id=NOBODY) == (404, f'Unknown allocation "{NOBODY}"')
    assert await agent.get(LS, id="nope") == (500, "alloc lookup failed: index error: UUID must be 36 characters")
    status, text = await agent.get(STREAM, path="web/local/none", follow="false")
    assert status == 400 and text.startswith("stat /")
    assert await agent.get(STREAM, path="web", follow="false") == (400, 'file "web" is a directory')


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"offset": "4", "limit": "6"}, "456789"),
        ({"offset": "10"}, "abcdef"),
        ({"offset": "100", "limit": "5"}, ""),
        ({"offset": "0", "limit": "-2"}, "0123456789abcdef"),
        ({}, 'error parsing offset: strconv.ParseInt: parsing "": invalid syntax'),
        ({"offset": "0", "limit": "x"}, 'error parsing limit: strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
async def test_parts_of_a_file_can_be_read(agent: Agent, query: dict[str, str], text: str) -> None:
    assert await agent.get(READAT, path="web/local/hex", **query) == (200, text)


async def test_an_empty_file_has_a_type_unless_it_is_streamed(agent: Agent, client: Client) -> None:
    (client.allocations[agent.id].directory.root / "web" / "local" / "empty").touch()
    handlers = {route.pattern: route.handler for route in routes(client)}
    types = {}
    for pattern in (CAT, STREAM):
        query = (("path", "web/local/empty"), ("follow", "false"))
        answer = await handlers[pattern](Request(method="GET", path="", query=query, parameters={"id": agent.id}))
        assert isinstance(answer, Response) and answer.body == b""
        types[pattern] = answer.headers.get("Content-Type", answer.content_type)
    assert types == {CAT: "text/plain; charset=utf-8", STREAM: ""}


async def test_a_file_is_streamed_in_frames(agent: Agent) -> None:
    _, body = await agent.get(STREAM, path="web/local/hex", follow="false", offset="3", origin="end")
    frame = json.loads(body)
    assert (base64.b64decode(frame["Data"]), frame["File"], frame["Offset"]) == (b"def", "web/local/hex", 16)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "one\ntwo\nthree\n"),
        ({"offset": "4"}, "two\nthree\n"),
        ({"offset": "6", "origin": "end"}, "three\n"),
        ({"offset": "0", "origin": "end"}, "one\ntwo\nthree\n"),
        ({"offset": "600", "origin": "end"}, "one\ntwo\nthree\n"),
        ({"offset": "600"}, ""),
        ({"offset": "-3"}, "ee\n"),
    ],
)
async def test_logs_begin_where_they_are_asked_to(agent: Agent, query: dict[str, str], text: str) -> None:
    assert await agent.get(LOGS, task="web", type="stdout", plain="true", **query) == (200, text)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ({"type": "stdout"}, (400, "must provide task name")),
        ({"task": "web"}, (400, "must provide log type (stdout/stderr)")),
        ({"task": "nope", "type": "stdout"}, (400, 'unknown task name "nope"')),
        ({"task": "web", "type": "stdout", "origin": "middle"}, (400, "origin must be start or end")),
        ({"task": "quiet", "type": "stdout"}, (404, 'log entry for task "quiet" and log type "stdout" not found')),
        ({"task": "after", "type": "stdout"}, (404, 'task "after" not started yet. No logs available')),
        (
            {"task": "web", "type": "stdout", "offset": "1.5"},
            (400, 'error parsing offset: strconv.ParseInt: parsing "1.5": invalid syntax'),
        ),
    ],
)
async def test_wrong_questions_about_logs(agent: Agent, query: dict[str, str], answer: tuple[int, str]) -> None:
    assert await agent.get(LOGS, **query) == answer


async def test_following_logs_ends_with_the_task(agent: Agent, client: Client, server: FakeServer) -> None:
    await server.ask_to_stop(agent.id)
    assert await agent.get(LOGS, task="web", type="stdout", plain="true", follow="true") == (200, "one\ntwo\nthree\n")


async def test_a_task_can_be_restarted_and_counts_it(agent: Agent, server: FakeServer) -> None:
    assert await agent.post(RESTART, {"TaskName": "quiet"}) == (200, {"Index": 0})
    report = await server.reported(
        agent.id, lambda r: (s := (r.task_states or {})["quiet"]).restarts == 1 and s.state == "running"
    )
    events = (report.task_states or {})["quiet"].events or ()
    assert [event.display_message for event in events][-4:] == [
        "User requested task to restart",
        "Exit Code: 0",
        "Task restarting in 0s",
        "Task started by client",
    ]


async def test_restarting_all_tasks_runs_the_completed_ones_again(agent: Agent, server: FakeServer) -> None:
    assert await agent.post(RESTART, {"AllTasks": True}) == (200, {"Index": 0})
    report = await server.reported(
        agent.id,
        lambda r: (
            all(s.restarts == 1 for name, s in (r.task_states or {}).items() if name != "after")
            and (r.task_states or {})["web"].state == "running"
        ),
    )
    assert report.client_status == "running"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"TaskName": "pre"}, "Task not running"),
        ({"TaskName": "nope"}, "Could not find task runner for task: nope"),
        ({"TaskName": "web", "AllTasks": True}, "task name cannot be set when restarting all tasks"),
        ({"TaskName": 3}, "json: cannot unmarshal number into Go struct field .TaskName of type string"),
    ],
)
async def test_restarts_that_cannot_be(agent: Agent, body: Any, text: str) -> None:
    assert await agent.post(RESTART, body) == (500, text)


async def test_signals(agent: Agent) -> None:
    assert await agent.post(SIGNAL, {"Signal": "SIGHUP", "Task": "quiet"}) == (200, {"Index": 0})
    assert await agent.post(SIGNAL, {"Signal": "SIGHUP", "Task": "web"}) == (500, "not today")
    assert await agent.post(SIGNAL, {"Signal": "SIGHUP", "Task": "pre"}) == (500, "Task not running")
    assert await agent.post(SIGNAL, {"Signal": "SIGHUP", "Task": "nope"}) == (500, "Task not found")
    assert await agent.post(SIGNAL) == (400, "Failed to decode body: Request body is empty")
    assert await agent.post(SIGNAL, b'{"Signal"') == (400, "Failed to decode body: unexpected EOF")


async def test_only_what_has_ended_can_be_collected(agent: Agent, client: Client, server: FakeServer) -> None:
    refusal = (500, "No such allocation on client, or allocation not eligible for GC")
    assert await agent.get(GC) == refusal
    await server.ask_to_stop(agent.id)
    runner = client.allocations[agent.id]
    runner.tasks["after"].kill()
    await runner.ended()
    assert (await agent.get(GC))[0] == 200
    assert (await agent.get(GC))[0] == 200
    assert (await agent.get(LS))[0] == 404
    assert await agent.post(RESTART, {}) == (500, "restart of an alloc that should not run")


async def test_statistics_of_tasks_without_processes_are_empty(agent: Agent) -> None:
    status, usage = await agent.get(ALLOC_STATS)
    assert (status, usage["Tasks"], usage["ResourceUsage"]["MemoryStats"]["Measured"]) == (200, {}, None)


async def test_commands_and_schedules_are_refused_in_nomads_words(agent: Agent) -> None:
    alloc = "/v1/client/allocation/{id}"
    assert await agent.get(f"{alloc}/exec") == (500, "websocket connection not found in context")
    assert await agent.get(f"{alloc}/pause") == (500, "Enterprise only")


async def test_the_machine_is_measured(agent: Agent) -> None:
    status, stats = await agent.get("/v1/client/stats")
    assert status == 200
    assert stats["Memory"]["Total"] > stats["Memory"]["Available"] > 0
    assert len(stats["CPU"]) > 0 and stats["AllocDirStats"]["Size"] > 0


async def test_metadata_changes_are_merged_and_registered(agent: Agent, client: Client, server: FakeServer) -> None:
    path = "/v1/client/metadata"
    _, after = await agent.post(path, {"Meta": {"owner": "ops", "rack": "r2"}})
    assert after["Meta"] == {"owner": "ops", "rack": "r2"}
    _, after = await agent.post(path, {"Meta": {"owner": None, "nothing": None}})
    assert after == {"Meta": {"rack": "r2"}, "Dynamic": {"rack": "r2"}, "Static": {}}
    await server.until(lambda: server.nodes[client.node_id].meta == {"rack": "r2"})
    assert await agent.post(path, {"Meta": {}}) == (400, "missing required Meta object")
    assert await agent.post(path, {"Meta": {"no spaces": "x"}}) == (
        400,
        '"no spaces" is invalid; metadata keys must be valid dotted hcl identifiers',
    )
