import pytest

from raftnomad.errors import BadRequest
from raftnomad.web import Request


def test_the_first_value_of_a_parameter_counts():
    request = Request(method="GET", path="/", query=(("topic", "Job"), ("topic", "Node")))
    assert request.get("topic") == "Job"
    assert request.get_all("topic") == ["Job", "Node"]
    assert request.get("index", "0") == "0"


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("F", False), ("", False)])
def test_booleans_are_read_as_go_reads_them(text, value):
    assert Request(method="GET", path="/", query=(("purge", text),)).flag("purge") is value


def test_another_word_is_no_boolean():
    with pytest.raises(BadRequest, match='parsing "yes": invalid syntax'):
        Request(method="GET", path="/", query=(("purge", "yes"),)).flag("purge")
