"""What servers say to one another. Whatever arrives is checked against this table before anything looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftnomad.raft.entries import Entry
from raftnomad.raft.network import Message

# Fields beside `type`. `seq` is the leader's counter of appends, echoed in acknowledgements as `echo`.
SHAPES: dict[str, dict[str, type]] = {
    # pysyncobj's own
    "append_entries": {
        "term": int,
        "seq": int,
        "commit_index": int,
        "prevLogIdx": int,
        "prevLogTerm": int,
        "entries": list,
    },
    "next_node_idx": {"term": int, "echo": int, "next_node_idx": int, "reset": bool, "success": bool},
    "request_vote": {"term": int, "last_log_index": int, "last_log_term": int},
    "response_vote": {"term": int},
    "timeout_now": {"term": int},
    # ours
    "heartbeat": {"term": int, "seq": int},
    "stale_term": {"term": int},
    "pre_vote": {"term": int, "id": int, "last_log_index": int, "last_log_term": int},
    "pre_vote_granted": {"id": int},
    "snapshot": {
        "term": int,
        "seq": int,
        "index": int,
        "snapshot_term": int,
        "size": int,
        "offset": int,
        "data": bytes,
    },
    "snapshot_received": {"term": int, "index": int, "offset": int, "done": bool},
    "forward": {"id": int, "proposals": list},
    "forwarded": {"id": int, "verdict": str, "index": int, "outcomes": bytes},
    "read": {"id": int},
    "read_at": {"id": int, "index": int},
    "change": {"id": int, "adds": list, "removes": str},
    "transfer": {"id": int, "to": str},
    "changed": {"id": int, "problem": str},
}
_INTEGER_MAX = 1 << 62


def problem_of(message: Message) -> str:
    """What is wrong with a message's shape; empty when nothing is."""
    kind = message.get("type")
    shape = SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        return f"unknown message {kind!r}"
    if len(message) != len(shape) + 1:
        return f"{kind} with fields {sorted(map(str, message))}"
    for name, expected in shape.items():
        value = message.get(name)
        if type(value) is not expected and not (expected is list and type(value) is tuple):
            return f"{kind}.{name} is a {type(value).__name__}"
        if isinstance(value, int) and not -1 <= value < _INTEGER_MAX:
            return f"{kind}.{name} is {value}"
    return _problem_of_lists(kind, message)


def _problem_of_lists(kind: Any, message: Message) -> str:
    if kind == "append_entries":
        return _problem_of_entries(message["entries"], message["prevLogIdx"])
    if kind == "forward" and not all(type(proposal) is bytes for proposal in message["proposals"]):
        return "forward.proposals are not all bytes"
    if kind == "change" and [type(part) for part in message["adds"]] not in ([], [str, str, str, bool]):
        return "change.adds is no member"
    return ""


def _problem_of_entries(entries: Sequence[Any], previous: int) -> str:
    for entry in entries:
        if not (isinstance(entry, list | tuple) and len(entry) == 3):
            return "append_entries.entries holds something that is no entry"
        command, index, term = entry
        if type(command) is not bytes or not command or type(index) is not int or type(term) is not int:
            return "append_entries.entries holds something that is no entry"
        if index != previous + 1:
            return f"append_entries.entries has {index} after {previous}"
        previous = index
    return ""


def append_message(term: int, commit_index: int, previous: int, previous_term: int, entries: list[Entry]) -> Message:
    return {
        "type": "append_entries",
        "term": term,
        "commit_index": commit_index,
        "prevLogIdx": previous,
        "prevLogTerm": previous_term,
        "entries": entries,
    }


def heartbeat_message(term: int) -> Message:
    return {"type": "heartbeat", "term": term}
