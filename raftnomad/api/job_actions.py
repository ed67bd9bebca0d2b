"""Job actions: commands that a job's author has prepared, run where one of its allocations runs.

To the node they are `alloc exec` of the prepared command, and so are they here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from raftnomad.api.query import namespace_of
from raftnomad.errors import BadRequest, NotFound, RaftnomadError
from raftnomad.fsm.state import State
from raftnomad.identifiers import RandomBytes
from raftnomad.model.allocation import Allocation
from raftnomad.model.job import Action, Job
from raftnomad.web import Request

_PATH = re.compile(r"/v1/job/(.+)/action")
_KEPT = ("tty", "ws_handshake", "region", "namespace")


def is_action(request: Request) -> bool:
    return _PATH.fullmatch(request.path) is not None


def as_exec(request: Request, state: State, random_bytes: RandomBytes) -> Request:
    """The request that runs the action in an allocation. Raises RaftnomadError when there is none."""
    found = _PATH.fullmatch(request.path)
    assert found is not None
    job = state.jobs.get((namespace_of(request), found[1]))
    if job is None:
        raise RaftnomadError(f'Unknown job "{found[1]}"')
    name = request.get("action")
    if not name:
        raise BadRequest("must provide an action name")
    alloc = _allocation(state, job, request, random_bytes)
    task, action = _action(job, alloc, request.get("task"), name)
    command = [action.command, *(action.args or ())]
    kept = tuple(item for item in request.query if item[0] in _KEPT)
    query = (("task", task), ("command", json.dumps(command)), *kept)
    return replace(request, path=f"/v1/client/allocation/{alloc.id}/exec", query=query)


def _allocation(state: State, job: Job, request: Request, random_bytes: RandomBytes) -> Allocation:
    """The one that is named, else any that runs."""
    if identifier := request.get("allocID"):
        alloc = state.allocations.get(identifier)
        if alloc is None or (alloc.namespace, alloc.job_id) != (job.namespace, job.id):
            raise NotFound(f'Unknown allocation "{identifier}"')
        return alloc
    group = request.get("group")
    running = [
        alloc
        for alloc in state.allocations_of_job(job.namespace, job.id)
        if alloc.client_status == "running" and group in ("", alloc.task_group)
    ]
    if not running:
        where = f'of group "{group}" ' if group else ""
        raise RaftnomadError(f'no allocation {where}of job "{job.id}" is running')
    return running[int.from_bytes(random_bytes(4)) % len(running)]


def _action(job: Job, alloc: Allocation, task: str, name: str) -> tuple[str, Action]:
    found = [one for one in _actions(job, alloc.task_group) if one[1].name == name and task in ("", one[0])]
    if not found:
        where = f'task "{task}"' if task else f'group "{alloc.task_group}"'
        raise RaftnomadError(f'action "{name}" not found in {where} of job "{job.id}"')
    if len(found) > 1:
        tasks = ", ".join(one[0] for one in found)
        raise RaftnomadError(f'action "{name}" belongs to several tasks: say which of {tasks}')
    return found[0]


def _actions(job: Job, group_name: str) -> Iterator[tuple[str, Action]]:
    for group in job.task_groups or ():
        if group.name == group_name:
            yield from ((task.name, action) for task in group.tasks or () for action in task.actions or ())
