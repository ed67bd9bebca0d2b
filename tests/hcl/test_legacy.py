import pytest

from raftnomad.hcl.legacy import LegacySyntaxError, parse


def test_blocks_labels_and_repetition():
    text = """
    # a comment
    a = 1 // another
    "quoted" = "x\\n\\u00e4" /* and
    another */
    block { inner = [1, "two", true,] }
    block { inner = 2.5 }
    plugin "docker" { config { on = false } }
    """
    assert parse(text) == {
        "a": [1],
        "quoted": ["x\nä"],
        "block": [{"inner": [[1, "two", True]]}, {"inner": [2.5]}],
        "plugin": [{"docker": [{"config": [{"on": [False]}]}]}],
    }


def test_heredocs_keep_their_lines():
    assert parse("a = <<EOF\n  x\ny\nEOF\nb = <<-END\n    x\n      y\n    END\n") == {
        "a": ["  x\ny\n"],
        "b": ["x\n  y\n"],
    }


def test_json_is_the_same_language_with_other_clothes():
    assert parse('{"plugin": [{"docker": {"config": {"on": false}}}], "a": 1, "l": [1, 2],}') == {
        "plugin": [{"docker": [{"config": [{"on": [False]}]}]}],
        "a": [1],
        "l": [[1, 2]],
    }


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a {", "At 1:4"),
        ("a = ", "At 1:5"),
        ('a = "x', "At 1:5"),
        ("a = [1", "At 1:7"),
        ("= 1", "At 1:1"),
        ("{1}", "At 1:2"),
    ],
)
def test_mistakes_have_their_place(text, where):
    with pytest.raises(LegacySyntaxError, match=where):
        parse(text)


def test_depth_is_bounded():
    with pytest.raises(LegacySyntaxError, match="deep"):
        parse("a {" * 1000)
