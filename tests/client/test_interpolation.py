from __future__ import annotations

import pytest

from raftnomad.client.interpolation import InterpolationError, fill, fill_config, node_values, with_environment
from raftnomad.model.node import Node

NODE = Node(
    id="n1",
    name="node1",
    datacenter="dc1",
    node_class="small",
    node_pool="default",
    attributes={"kernel.name": "linux", "os.name": "debian"},
    meta={"rack": "r1", "zone.name": "z-9"},
)
VALUES = with_environment(node_values(NODE, "global"), {"NOMAD_TASK_NAME": "t", "GREETING": "hello", "a-b": "c"})


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${meta.rack} ${meta.zone.name} ${node.class}", "r1 z-9 small"),
        ("${node.unique.name} ${node.datacenter} ${node.pool}", "node1 dc1 default"),
        ("${attr.kernel.name}", "linux"),
        ("${NOMAD_TASK_NAME}${NOMAD_SHORT_ALLOC_ID_X}", "t${NOMAD_SHORT_ALLOC_ID_X}"),
        ("${unknown.thing} ${meta.color} ${literal}", "${unknown.thing} ${meta.color} ${literal}"),
        ('${env["GREETING"]} ${env.GREETING} ${env["a-b"]}', "hello hello c"),
        ("$HOME $(x) {}", "$HOME $(x) {}"),
    ],
)
def test_environment_values_keep_what_they_do_not_know(text: str, filled: str) -> None:
    assert fill(text, VALUES) == filled


def test_config_is_filled_at_every_depth() -> None:
    config = {"args": ["-c", "echo ${NOMAD_TASK_NAME}"], "auth": {"user": "${meta.rack}"}, "count": 3}
    assert fill_config(config, VALUES) == {"args": ["-c", "echo t"], "auth": {"user": "r1"}, "count": 3}


def test_an_escaped_reference_is_text() -> None:
    assert fill_config("$${HOME} ${NOMAD_TASK_NAME}", VALUES) == "${HOME} t"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("${attr.os.nothing}", 'Unsupported attribute: This object does not have an attribute named "nothing".'),
        ("${meta.color}", 'Unsupported attribute: This object does not have an attribute named "color".'),
        ("${NOPE}", 'Unknown variable: There is no variable named "NOPE".'),
    ],
)
def test_config_must_not_name_what_is_not_there(text: str, complaint: str) -> None:
    with pytest.raises(InterpolationError) as caught:
        fill_config([text], VALUES)
    assert str(caught.value) == complaint
