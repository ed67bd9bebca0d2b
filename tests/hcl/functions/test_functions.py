# ruff: noqa: E501 - messages stand whole, as they are printed
"""Functions as job files call them, each with what it gives."""

import os

import pytest

from raftnomad.hcl.diagnostics import Source
from raftnomad.hcl.evaluator import Scope, evaluate
from raftnomad.hcl.functions import standard_functions
from raftnomad.hcl.parser import parse_expression
from raftnomad.hcl.values import to_python

FUNCTIONS = standard_functions(os.urandom)


def called(text: str) -> tuple[object, list[str]]:
    source = Source("f.hcl", text)
    scope = Scope(source=source, variables={}, functions=FUNCTIONS, diagnostics=[])
    value = to_python(evaluate(parse_expression(source), scope))
    return value, [diagnostic.detail for diagnostic in scope.diagnostics]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('upper("straße é")', "STRAßE É"),
        ('title("o\'neil and_co")', "O'Neil And_co"),
        ('substr("naïve", -3, 2)', "ïv"),
        ('strlen("👩‍👩‍👦e\\u0301")', 2),
        ('split(",", "a,,b")', ["a", "", "b"]),
        ('join("-", ["a"], [1, true])', "a-1-true"),
        ('regex_replace("v1.22", "[.](\\\\d+)", "_$1")', "v1_22"),
        ('format("%05d|%-5s|%q|%v", 42, "a", "q", [1])', '00042|a    |"q"|[1]'),
        ('formatlist("%s:%d", ["a", "b"], 1)', ["a:1", "b:1"]),
        ("ceil(-1.2)", -1),
        ('max(1, "5", 3)', 5),
        ('parseint("-101", 2)', -5),
        ("range(0, 1, 0.25)", [0, 0.25, 0.5, 0.75]),
        ("pow(2, -1)", 0.5),
        ('element(["a", "b"], 3)', "b"),
        ('distinct([1, "1"])', ["1"]),
        ("flatten([1, [2, [3]]])", [1, 2, 3]),
        ('merge({a = 1}, null, {b = "x"})', {"a": 1, "b": "x"}),
        ('setunion(["b", "a"], ["a"])', ["a", "b"]),
        ('setproduct(["a", "b"], [1])', [["a", 1], ["b", 1]]),
        ("sort([10, 9])", ["10", "9"]),
        ('zipmap(["k"], [[1]])', {"k": [1]}),
        ('lookup({a = "x"}, "b", "none")', "none"),
        ('coalesce(null, 5, "x")', "5"),
        ('jsonencode({b = "<&>", a = [1.50, null]})', '{"a":[1.5,null],"b":"\\u003c\\u0026\\u003e"}'),
        ('jsondecode("{\\"a\\": [1, 1e2]}")', {"a": [1, 100]}),
        ('yamlencode({a = [1, "x"], b = {c = null}})', '"a":\n- 1\n- "x"\n"b":\n  "c": null\n'),
        ('csvdecode("a,b\\n1,2\\n")', [{"a": "1", "b": "2"}]),
        ('base64decode(base64encode("é"))', "é"),
        ('urlencode("a b&é/")', "a+b%26%C3%A9%2F"),
        ('md5("")', "d41d8cd98f00b204e9800998ecf8427e"),
        ('uuidv5("dns", "example.com")', "cfbff0d1-9375-5685-968c-48ce8b15ae17"),
        ('cidrhost("10.0.0.0/24", -1)', "10.0.0.255"),
        ('cidrsubnet("fd00::/48", 16, 10)', "fd00:0:0:a::/64"),
        ('cidrsubnets("10.1.0.0/16", 4, 4, 8)', ["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/24"]),
        ('formatdate("EEE, DD MMM YYYY hh:mm ZZZ", "2031-03-09T07:05:02Z")', "Sun, 09 Mar 2031 07:05 UTC"),
        ('timeadd("2031-12-31T23:59:59Z", "1s")', "2032-01-01T00:00:00Z"),
        ('try({a = 1}.b, "fallback")', "fallback"),
        ("can([1][3])", False),
        ('convert([1, "2"], list(string))', ["1", "2"]),
    ],
)
def test_a_function_gives(text: str, value: object) -> None:
    assert called(text) == (value, [])


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('join(",", ["a", null])', 'Invalid value for "lists" parameter: element 1 is null; cannot concatenate null values.'),
        ('format("%d", "x")', 'Call to function "format" failed: unsupported value for "%d" at 0: a number is required.'),
        ("length({a = 1})", 'Call to function "length" failed: collection must be a list, a map or a tuple.'),
        ("range(2000)", 'Call to function "range" failed: more than 1024 values were generated; either decrease the difference between start and end or use a smaller step.'),
        ('slice(["a"], 0, 5)', 'Invalid value for "end_index" parameter: end index must not be greater than the length of the list.'),
        ('cidrhost("x", 1)', 'Call to function "cidrhost" failed: invalid CIDR expression: invalid CIDR address: x.'),
        ('formatdate("YYY", "2031-03-09T07:05:02Z")', 'Invalid value for "format" parameter: invalid date format verb "YYY": year must either be "YY" or "YYYY".'),
        ('jsondecode("{")', 'Call to function "jsondecode" failed: EOF.'),
        ('yamldecode("a: 1")', 'Call to function "yamldecode" failed: yamldecode is not built yet.'),
    ],
)  # fmt: skip
def test_a_function_refuses(text: str, detail: str) -> None:
    assert called(text)[1][0] == detail


def test_identifiers_differ() -> None:
    assert called("uuidv4()")[0] != called("uuidv4()")[0]
