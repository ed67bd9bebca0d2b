import importlib
import pkgutil

import msgspec
import pytest

from raftnomad import model
from raftnomad.model.job import Job, Task, TaskGroup
from raftnomad.model.resources import Port
from raftnomad.model.row import Row, from_positional, go_name, positional, to_positional


def rows() -> list[type[Row]]:
    found = []
    for module in pkgutil.iter_modules(model.__path__):
        if module.name == "difference" or module.name.startswith("submitted"):  # never in the log
            continue
        loaded = importlib.import_module(f"raftnomad.model.{module.name}")
        for value in vars(loaded).values():
            if isinstance(value, type) and issubclass(value, Row) and value.__module__ == loaded.__name__:
                found.append(value)
    return [row for row in found if row is not Row]


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("node_id", "NodeID"),
        ("kill_timeout_ns", "KillTimeout"),
        ("memory_mb", "MemoryMB"),
        ("address_ipv6", "AddressIPv6"),
        ("failed_tg_allocs", "FailedTGAllocs"),
        ("csi_plugin_config", "CSIPluginConfig"),
    ],
)
def test_fields_are_spelled_on_the_wire_as_nomad_spells_them(name, wire):
    assert go_name(name) == wire


@pytest.mark.parametrize("row_type", rows(), ids=lambda row_type: row_type.__name__)
def test_every_row_survives_the_log(row_type):
    row = row_type()
    data = msgspec.msgpack.encode(to_positional(row))
    assert isinstance(msgspec.msgpack.decode(data), list)
    assert from_positional(msgspec.msgpack.decode(data, type=positional(row_type)), row_type) == row


def test_a_nested_row_survives_the_log():
    task = Task(name="main", driver="raw_exec", config={"args": ["a", 1, {"b": None}]}, env={"A": "1"})
    job = Job(id="web", task_groups=(TaskGroup(name="web", count=3, tasks=(task,)),))
    data = msgspec.msgpack.encode(to_positional(job))
    assert from_positional(msgspec.msgpack.decode(data, type=positional(Job)), Job) == job


def test_a_row_written_before_a_field_was_appended_can_be_read():
    class Before(Row, frozen=True, kw_only=True):
        name: str = ""

    class After(Row, frozen=True, kw_only=True):
        name: str = ""
        count: int = 7

    data = msgspec.msgpack.encode(to_positional(Before(name="a")))
    assert from_positional(msgspec.msgpack.decode(data, type=positional(After)), After) == After(name="a", count=7)


def test_json_leaves_out_zero_fields_only_where_nomad_does():
    assert msgspec.json.decode(msgspec.json.encode(Port(label="http"))) == {"Label": "http"}
    assert "Priority" in msgspec.json.decode(msgspec.json.encode(Job()))
