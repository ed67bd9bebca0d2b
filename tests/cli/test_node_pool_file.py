import pytest

from raftnomad.cli.node_pool_file import parse_node_pool
from raftnomad.errors import RaftnomadError


def test_a_pool_becomes_what_the_api_takes():
    text = 'node_pool "gpu" {\n  description = "Cards"\n  meta {\n    cost = "high"\n  }\n}\n'
    assert parse_node_pool(text, "gpu.hcl") == {"Name": "gpu", "Description": "Cards", "Meta": {"cost": "high"}}


def test_a_pool_can_say_how_it_is_scheduled():
    text = 'node_pool "p" {\n  scheduler_config {\n    scheduler_algorithm = "spread"\n  }\n}\n'
    configuration = parse_node_pool(text, "p.hcl")["SchedulerConfiguration"]
    assert configuration == {"SchedulerAlgorithm": "spread", "MemoryOversubscriptionEnabled": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('node_pool "a" {\n  colour = "red"\n}\n', 'a.hcl:2,3-9: Unsupported argument; An argument named "colour"'),
        ("node_pool {\n}\n", "a.hcl:1,11-12: Missing name for node_pool"),
        ('node_pool "a" {}\nnode_pool "b" {}\n', "a.hcl:2,1-14: Duplicate node_pool block"),
        ('node_pool "a" {\n  description =\n}\n', "a.hcl:2,16-3,1: Invalid expression"),
        ("# nothing\n", "missing node pool"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, said):
    with pytest.raises(RaftnomadError) as raised:
        parse_node_pool(text, "a.hcl")
    assert said in str(raised.value)
