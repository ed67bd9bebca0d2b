import pygohcl
import pytest

from raftnomad.hcl import syntax as s
from raftnomad.hcl.diagnostics import HclError, Source
from raftnomad.hcl.parser import parse, parse_expression

FEATURES = [
    'a = 1\nb = "x"\n',
    "a = <<EOT\n  kept\nEOT\n",
    "a = <<-EOT\n    one\n      two\n  EOT\n",
    'a = "$${x} %%{y} \\u00e9 \\" \\\\"\n',
    'b "one" two {\n  c {}\n  d = [1, 2, ]\n}\n',
    'a = { b = 1, "c" : 2\n (upper("d")) = 3 }\n',
    'a = [for x in ["a"] : upper(x) if x != "b"]\n',
    "a = { for k, v in { x = 1 } : k => v... }\n",
    "a = [1, 2][*]\nb = [{ c = 1 }].*.c\n",
    "a = 1 + 2 * -3 == 4 ? !true : false && true\n",
    'a = "%{ if true ~} x %{ else } y %{ endif }%{ for i in [1] }${i}%{ endfor }"\n',
    "a = f(1,\n  2)\nc = (1\n+ 2)\n",
    "/* c */ a = 1 # d\n// e\n",
    'é "日本" {\n  with-dash = 1\n}\n',
    "a { b = 1 }\n",
    'a = x.y[0].z["k"].0\n',
]

BROKEN = [
    ('a "b" {\n', "1,7-8: Unclosed configuration block"),
    ('"a" = 1\n', "1,1-2: Invalid argument name"),
    ("a\n", "1,1-2: Argument or block definition required"),
    ("a: 1\n", "1,1-2: Argument or block definition required"),
    ("a =\n", "1,4-2,1: Invalid expression"),
    ('a = "x" b = 1\n', "1,9-10: Missing newline after argument"),
    ("a = 1, b = 2\n", "1,6-7: Unexpected comma after argument"),
    ("a = [1 2]\n", "1,8-9: Missing item separator"),
    ("a = { b }\n", "1,9-10: Missing key/value separator"),
    ("a = true ? 1\n", "1,13-2,1: Missing false expression in conditional"),
    ("a = f(1 2)\n", "1,9-10: Missing argument separator"),
    ('a = "\\q"\n', "1,6-8: Invalid escape sequence"),
    ('a = "x\n', "1,7-2,1: Invalid multi-line string"),
    ("a = <<EOT\n x\n", "3,1-1: Unterminated template string"),
    ("a = 1\na = 2\n", "2,1-2: Attribute redefined"),
    ('a "x${1}" {\n}\n', "1,5-7: Invalid string literal"),
    ("a { b = 1, c = 2 }\n", "1,10-11: Invalid single-argument block definition"),
    ("a { b {} }\n", "1,5-8: Argument definition required"),
    ('a = "%{ if true }x"\n', "1,19-20: Unexpected end of template"),
    ("a = [for n : n]\n", "1,12-13: Invalid 'for' expression"),
    ("a = 1 & 2\n", "1,7-8: Unsupported operator"),
    ("}\n", "1,1-2: Argument or block definition required"),
]


@pytest.mark.parametrize("text", FEATURES)
def test_what_the_language_has_is_read_as_the_go_parser_reads_it(text: str) -> None:
    parse(Source("f.hcl", text))
    try:
        pygohcl.loads(text)
    except pygohcl.HCLParseError as error:
        pytest.fail(f"the oracle refuses it: {error}")
    except pygohcl.HCLInternalError:
        pass  # It could not evaluate: the syntax is fine.


@pytest.mark.parametrize(("text", "place_and_summary"), BROKEN)
def test_what_is_broken_is_refused_at_its_place(text: str, place_and_summary: str) -> None:
    with pytest.raises(HclError) as refusal:
        parse(Source("f.hcl", text))
    assert str(refusal.value).startswith(f"f.hcl:{place_and_summary}; ")
    with pytest.raises(pygohcl.HCLParseError):
        pygohcl.loads(text)


def test_all_impossible_characters_are_told() -> None:
    with pytest.raises(HclError) as refusal:
        parse(Source("f.hcl", "a = “x”\n"))
    assert [d.summary for d in refusal.value.diagnostics] == ["Invalid character"] * 2 + ["Invalid expression"]


def test_columns_count_what_a_reader_sees() -> None:
    for text in ("日本語", "e\u0301e\u0301e\u0301", "👩‍👩‍👧ab", "🇩🇪🇫🇷x"):
        with pytest.raises(HclError) as refusal:
            parse(Source("f.hcl", f'a = "{text}" b\n'))
        assert str(refusal.value).startswith("f.hcl:1,11-12: ")


def test_nodes_know_where_they_stand() -> None:
    text = 'job "a" {\n  name = upper(var.x)\n}\n'
    block = parse(Source("f.hcl", text)).blocks[0]
    attribute = block.body.attributes["name"]
    assert text[block.start : block.end] == text[:-1]
    assert text[attribute.start : attribute.end] == "name = upper(var.x)"
    assert isinstance(attribute.value, s.Call)
    assert text[attribute.value.arguments[0].start : attribute.value.arguments[0].end] == "var.x"


def test_nesting_is_bounded() -> None:
    parse_expression(Source("f.hcl", "[" * 100 + "]" * 100))
    for opening in ("[", "(", "-", "{a=", "f(", "a[", '"${', "a ? b : ", "a ? "):
        with pytest.raises(HclError) as refusal:
            parse_expression(Source("f.hcl", opening * 5000))
        assert refusal.value.diagnostics[-1].summary == "Nested too deeply"
    with pytest.raises(HclError):
        parse(Source("f.hcl", "a {\n" * 5000))


def test_size_is_bounded() -> None:
    with pytest.raises(HclError) as refusal:
        parse(Source("f.hcl", "#" * (4 * 1024 * 1024 + 1)))
    assert refusal.value.diagnostics[0].summary == "File too large"
