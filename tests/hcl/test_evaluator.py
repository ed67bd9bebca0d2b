from collections.abc import Mapping

import pygohcl
import pytest

from raftnomad.hcl.calls import Function, FunctionError, Parameter
from raftnomad.hcl.diagnostics import Source
from raftnomad.hcl.evaluator import Scope, evaluate
from raftnomad.hcl.parser import parse_expression
from raftnomad.hcl.values import UNKNOWN, Value, to_python


def upper(text: str) -> Value:
    if text == "no":
        raise FunctionError("it said no")
    return text.upper()


FUNCTIONS = {"upper": Function(parameters=(Parameter("str", "string"),), apply=upper)}
VARIABLES: Mapping[str, Value] = {
    "var": {"names": ("ann", "bob"), "ports": {"http": 80, "admin": 9090}, "people": ({"name": "ann"}, {"name": "bob"})}
}


def value_and_mistakes(text: str) -> tuple[Value, list[str]]:
    source = Source("f.hcl", text)
    scope = Scope(source=source, variables=VARIABLES, functions=FUNCTIONS, diagnostics=[])
    value = evaluate(parse_expression(source), scope)
    return value, [str(diagnostic).removeprefix("f.hcl:") for diagnostic in scope.diagnostics]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 2", 5),
        ("-17 % 5", -2),
        ("5 % 0", 5),
        ('"1" + 2', 3),
        ('"1" == 1', False),
        ("[1, 2] == [1, 2]", True),
        ("null == null", True),
        ("true || false && false", True),
        ('true ? 1 : "one"', "1"),
        ('false ? null : "x"', "x"),
        ('true ? [1] : ["a", "b"]', ["1"]),
        ("true ? 1 : var.none", 1),
        ('[for i, n in var.names : "${i}-${n}"]', ["0-ann", "1-bob"]),
        ("{ for k, v in var.ports : v => k }", {"80": "http", "9090": "admin"}),
        ('{ for n in ["a", "b", "a"] : n => 1... }', {"a": [1, 1], "b": [1]}),
        ("var.people[*].name", ["ann", "bob"]),
        ("null[*]", []),
        ('"x"[*]', ["x"]),
        ("[{ a = [1, 2] }, { a = [3] }][*].a[0]", [1, 3]),
        ("[{ a = [1, 2] }, { a = [3] }].*.a[0]", [1, 2]),
        ("var.names.0", "ann"),
        ('"%{ for n in var.names }${n},%{ endfor }"', "ann,bob,"),
        ('"a   ${~ "b" ~}   c"', "abc"),
        ('upper("x")', "X"),
    ],
)
def test_an_expression_has_a_value(text: str, value: object) -> None:
    found, mistakes = value_and_mistakes(text)
    assert mistakes == []
    assert to_python(found) == value


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("node.unique.id", "${node.unique.id}"),
        ('"${ node.region }"', "${ node.region }"),
        ('"${~ node.a ~}"', "${node.a}"),
        ('"a-${attr["x.y"]}-b"', 'a-${attr["x.y"]}-b'),
        ("upper(node.class)", "${NODE.CLASS}"),
    ],
)
def test_a_name_that_is_not_known_stays_as_text(text: str, kept: str) -> None:
    assert value_and_mistakes(text) == (kept, [])


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("var.none", ['1,4-9: Unsupported attribute; This object does not have an attribute named "none".']),
        (
            '"a" < "b"',
            [
                "1,1-4: Invalid operand; Unsuitable value for left operand: a number is required.",
                "1,7-10: Invalid operand; Unsuitable value for right operand: a number is required.",
            ],
        ),
        ("1 ? 2 : 3", ["1,1-2: Incorrect condition type; The condition expression must be of type bool."]),
        ('uper("x")', ['1,1-5: Call to unknown function; There is no function named "uper". Did you mean "upper"?']),
        (
            "upper()",
            ['1,7-8: Not enough function arguments; Function "upper" expects 1 argument(s). Missing value for "str".'],
        ),
        (
            "upper([])",
            ['1,7-8: Invalid function argument; Invalid value for "str" parameter: string required, but have tuple.'],
        ),
        ('upper("no")', ['1,1-7: Error in function call; Call to function "upper" failed: it said no.']),
        (
            '"x ${[1]}"',
            [
                "1,6-9: Invalid template interpolation value; Cannot include the given value in a string template: "
                "string required, but have tuple."
            ],
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, mistakes: list[str]) -> None:
    assert value_and_mistakes(text)[1] == mistakes


def test_after_a_mistake_the_value_is_unknown() -> None:
    assert value_and_mistakes("1 + var.none")[0] is UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        '"plain"',
        '"esc \\n \\t \\" \\\\ $${x} \\u00e9"',
        "42",
        "1.5",
        "-3",
        '[1, "a", true]',
        '{ a = 1, b = ["c"] }',
        "<<-EOT\n    one\n      two\n\n    three\n  EOT",
        "<<EOT\n  kept\nEOT",
    ],
)
def test_constants_are_as_the_go_evaluator_has_them(text: str) -> None:
    assert to_python(value_and_mistakes(text)[0]) == pygohcl.loads(f"a = {text}\n")["a"]
