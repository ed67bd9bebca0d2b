# ruff: noqa: E501 - messages stand whole, as they are printed
"""Whole job files: what they become, and what is said about those that are wrong."""

from typing import Any

import pytest

from raftnomad.errors import JobFileError
from raftnomad.jobspec import parse_api_job, parse_job, parse_json_job

EVERYTHING = """
variable "image" {
  type    = string
  default = "web:1"
}

locals {
  tags = [for n in ["a", "b"] : upper(n)]
}

job "shop" {
  datacenters = ["dc1"]
  priority    = 70
  meta = { "team.name" = "core" }

  constraint {
    attribute = "${attr.kernel.name}"
    regexp    = "linux|darwin"
  }

  group "web" {
    count = 2
    network {
      port "http" {
        to = 8080
      }
      port "admin" {
        static = 9000
      }
    }
    service {
      name     = "web"
      port     = "http"
      provider = "nomad"
      tags     = local.tags
      check {
        type     = "tcp"
        interval = "10s"
        timeout  = "2s"
      }
    }
    vault {
      policies = ["p"]
    }
    task "server" {
      driver       = "docker"
      kill_timeout = "20s"
      config {
        image = var.image
        port_map = { http = 8080 }
        mount {
          type = "bind"
        }
      }
      env {
        NODE = "${node.unique.name}"
        PORT = 8080
      }
      template {
        data        = "x"
        destination = "local/x"
      }
      resources {
        cpu    = 500
        memory = 256
      }
      identity {
        env = true
      }
      identity {
        name = "other"
        ttl  = "1h"
      }
    }
  }

  task "alone" {
    driver = "raw_exec"
  }
}
"""


def parsed(text: str, **options: Any) -> dict[str, Any]:
    return parse_api_job(text, "job.hcl", **options)


def test_a_job_file_becomes_a_job_in_the_apis_spelling() -> None:
    job = parsed(EVERYTHING)
    assert (job["ID"], job["Name"], job["Priority"], job["Type"]) == ("shop", "shop", 70, None)
    assert job["Meta"] == {"team.name": "core"}
    assert job["Constraints"] == ({"LTarget": "${attr.kernel.name}", "RTarget": "linux|darwin", "Operand": "regexp"},)
    alone, web = job["TaskGroups"]
    assert (alone["Name"], alone["Tasks"][0]["Name"], alone["Count"]) == ("alone", "alone", None)
    network = web["Networks"][0]
    assert [(p["Label"], p["To"]) for p in network["DynamicPorts"]] == [("http", 8080)]
    assert [(p["Label"], p["Value"]) for p in network["ReservedPorts"]] == [("admin", 9000)]
    assert list(web["Services"][0]["Tags"]) == ["A", "B"]
    task = web["Tasks"][0]
    assert task["KillTimeout"] == 20_000_000_000
    assert task["Config"] == {"image": "web:1", "port_map": [{"http": 8080}], "mount": [{"type": "bind"}]}
    assert task["Env"] == {"NODE": "${node.unique.name}", "PORT": "8080"}
    assert task["Vault"]["Policies"] == ("p",)
    assert task["Templates"][0]["ChangeMode"] == "restart"
    assert task["Identity"]["Env"] is True
    assert [one["Name"] for one in task["Identities"]] == ["other"]


def test_what_a_file_does_not_say_stays_null_until_it_is_canonical() -> None:
    assert parse_job('job "a" {\n}\n').priority is None
    assert parse_job('job "a" {\n}\n', canonical=True).priority == 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "<nil>: Missing job block; A job block is required"),
        ('job "a" {\n  nme = 1\n}\n', 'job.hcl:2,3-6: Unsupported argument; An argument named "nme" is not expected here. Did you mean "name"?'),
        ('job "a" {\n  groups "b" {\n  }\n}\n', 'job.hcl:2,3-9: Unsupported block type; Blocks of type "groups" are not expected here. Did you mean "group"?'),
        ('job "a" {\n  priority = "high"\n}\n', "job.hcl:2,15-19: Unsuitable value type; Unsuitable value: a number is required"),
        ('job "a" {\n  priority = 1.5\n}\n', "job.hcl:2,14-17: Unsuitable value type; Unsuitable value: value must be a whole number, between -9223372036854775808 and 9223372036854775807"),
        ('job "a" {\n  group {\n  }\n}\n', "job.hcl:2,9-10: Missing name for group; All group blocks must have 1 labels (name)."),
        ('job "a" {\n  update {\n  }\n  update {\n  }\n}\n', "job.hcl:4,3-9: Duplicate update block; Only one update block is allowed. Another was defined at job.hcl:2,3-9."),
        ('job "a" {\n  task "t" {\n    kill_timeout = "soon"\n  }\n}\n', 'job.hcl:3,21-25: Unsuitable value type; Unsuitable duration value: time: invalid duration "soon"'),
        ('job "a" {\n  task "t" {\n    lifecycle {\n    }\n  }\n}\n', 'job.hcl:3,15-15: Missing required argument; The argument "hook" is required, but no definition was found.'),
        ('job "a" {\n  name = file("x")\n}\n', 'job.hcl:2,10-15: Error in function call; Call to function "file" failed: no file exists at x.\njob.hcl:2,10-15: Unsuitable value type; Unsuitable value: value must be known'),
        ('job "a" {\n}\njob "b" {\n}\n', 'job.hcl:3,1-8: Duplicate job block; Only one block of type "job" is allowed. Previous definition was at job.hcl:1,1-8.'),
        ('job "a" {\n  x = \n  y = \n}\n', "job.hcl:2,7-3,1: Invalid expression; Expected the start of an expression, but found an invalid expression token."),
        ('job "a" {\n  foo = 1\n  priority = "x"\n}\n', 'job.hcl:2,3-6: Unsupported argument; An argument named "foo" is not expected here.\njob.hcl:3,15-16: Unsuitable value type; Unsuitable value: a number is required'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(JobFileError) as refusal:
        parsed(text)
    assert str(refusal.value) == f"Error parsing job file from job.hcl:\n{message}"


def test_a_server_reads_no_files() -> None:
    with pytest.raises(JobFileError, match="filesystem function disabled"):
        parse_job('job "a" {\n  name = file("/etc/hostname")\n}\n')


VARIABLE = 'variable "n" {\n  type = number\n}\njob "a" {\n  priority = var.n\n}\n'


def test_the_strongest_source_of_a_variable_wins() -> None:
    environment = {"NOMAD_VAR_n": "1"}
    files = (("v.hcl", "n = 2\n"),)
    assert parsed(VARIABLE, environment=environment)["Priority"] == 1
    assert parsed(VARIABLE, environment=environment, variable_files=files)["Priority"] == 2
    assert parsed(VARIABLE, environment=environment, variable_files=files, variables=("n=3",))["Priority"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, 'Unset variable "n"'),
        ({"variables": ("n=many",)}, ":0,0-0: Invalid argument value for -var variable; The received arg value for n is not compatible with the variable's type constraint: a number is required."),
        ({"variables": ("n=1", "m=2")}, 'Undefined -var variable; A "m" variable was passed'),
        ({"variable_files": (("v.hcl", 'n = upper("x")\n'),)}, "v.hcl:1,5-15: Function calls not allowed"),
        ({"variable_files": (("v.hcl", "n =\n"),)}, "unable to parse var file: v.hcl:1,4-2,1: Invalid expression"),
        ({"variable_files": (("v.hcl", 'variable "n" {\n}\n'),)}, "v.hcl:1,1-9: Variable declaration in a .var file"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(JobFileError) as refusal:
        parsed(VARIABLE, **options)
    assert message in str(refusal.value)


def test_undeclared_variables_pass_when_not_strict() -> None:
    assert parsed(VARIABLE, variables=("n=1", "m=2"), strict=False)["Priority"] == 1


def test_a_rule_of_a_variable_is_kept() -> None:
    text = """
variable "n" {
  default = 3
  validation {
    condition     = var.n > 5
    error_message = "Too small."
  }
}
job "a" {
}
"""
    with pytest.raises(JobFileError, match="Invalid value for default variable; Too small"):
        parsed(text)
    assert parsed(text, variables=("n=6",))["ID"] == "a"


def test_locals_may_stand_in_any_order() -> None:
    text = 'locals {\n  a = local.b + 1\n  b = 2\n}\njob "a" {\n  priority = local.a\n}\n'
    assert parsed(text)["Priority"] == 3


def test_locals_in_a_circle_are_told() -> None:
    with pytest.raises(JobFileError, match='does not have an attribute named "a"'):
        parsed('locals {\n  a = local.b\n  b = local.a\n}\njob "x" {\n}\n')


def test_a_dynamic_block_stands_for_many() -> None:
    text = """
job "a" {
  dynamic "group" {
    for_each = { x = 1, y = 2 }
    labels   = ["g-${group.key}"]
    content {
      count = group.value
      dynamic "task" {
        for_each = ["t"]
        iterator = it
        labels   = [it.value]
        content {
          driver = "${group.key}-${it.key}"
        }
      }
    }
  }
}
"""
    groups = parsed(text)["TaskGroups"]
    assert [(g["Name"], g["Count"], g["Tasks"][0]["Driver"]) for g in groups] == [("g-x", 1, "x-0"), ("g-y", 2, "y-0")]


def test_a_dynamic_block_of_a_wrong_kind_is_told() -> None:
    with pytest.raises(JobFileError, match="Cannot use a number value in for_each"):
        parsed('job "a" {\n  dynamic "group" {\n    for_each = 3\n    labels = ["x"]\n    content {\n    }\n  }\n}\n')


def test_hcl_may_be_written_as_json() -> None:
    text = """{"variable": {"v": {"type": "string", "default": "x"}},
  "job": {"a": {"meta": {"m": "${upper(var.v)}"}, "priority": "${2 * 30}",
    "group": [{"g": {"task": {"t": {"driver": "d", "config": {"o": {"k": 1}, "l": [true]}}}}}, {"h": {}}]}}}"""
    job = parsed(text)
    assert (job["Meta"], job["Priority"]) == ({"m": "X"}, 60)
    assert [group["Name"] for group in job["TaskGroups"]] == ["g", "h"]
    assert job["TaskGroups"][0]["Tasks"][0]["Config"] == {"o": {"k": 1}, "l": [True]}


def test_what_is_wrong_in_json_is_told_with_its_place() -> None:
    with pytest.raises(JobFileError, match=r"job.hcl:1,17-23: Extraneous JSON object property; No argument or block"):
        parsed('{"job": {"a": {"colo": 1}}}'.replace('"a": {', '"a": { '))


@pytest.mark.parametrize("text", ['{"Job": {"ID": "a", "priority": 5, "x": 1}}', '{"id": "a", "Priority": 5} rest'])
def test_the_apis_json_is_read_with_and_without_a_job_around_it(text: str) -> None:
    job = parse_json_job(text)
    assert (job.id, job.priority) == ("a", 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Failed to parse JSON job: EOF"),
        ('{"ID": 5}', "Failed to parse JSON job: json: cannot unmarshal number into Go struct field .Job.ID of type string"),
        ("[1]", 'Failed to parse JSON job: json: cannot unmarshal array into Go value of type struct { NestedJob *api.Job "json:\\"Job\\""; api.Job }'),
    ],
)  # fmt: skip
def test_the_apis_json_is_refused_in_gos_words(text: str, message: str) -> None:
    with pytest.raises(JobFileError) as refusal:
        parse_json_job(text)
    assert str(refusal.value) == message
