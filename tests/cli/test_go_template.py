import pytest

from raftnomad.cli.formatted import formatted
from raftnomad.errors import RaftnomadError

pytest.importorskip("gotpl", reason="comes with raftnomad[templates]")

A_NODE = {
    "Name": "one",
    "Drain": True,
    "Meta": {"rack": "r1"},
    "DrainStrategy": {"Deadline": 5_400_000_000_000},
    "Events": [{"Message": "registered"}],
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ .Name }} {{ .Drain }}", "one true"),
        ("{{ .Meta.rack }} {{ .Meta.row }} {{ .Meta }}", "r1 <no value> map[rack:r1]"),
        ("{{ .DrainStrategy.Deadline }}", "1h30m0s"),
        ("{{ range .Events }}{{ .Message }} {{ .Details }}{{ end }}", "registered map[]"),
        ("{{ len .Events }}{{ len .HostVolumes }}", "10"),
    ],
)
def test_a_template_sees_what_gos_would(template, expected):
    assert formatted(A_NODE, template, "Node") == expected


def test_a_list_of_answers_is_a_list_in_the_template():
    assert formatted([A_NODE, A_NODE], "{{ len . }}{{ range . }} {{ .Name }}{{ end }}", "NodeListStub") == "2 one one"


def test_a_field_that_a_struct_does_not_have_is_told_with_its_place_and_type():
    with pytest.raises(RaftnomadError) as raised:
        formatted([A_NODE], "{{ range . }}{{ .Colour }}{{ end }}", "NodeListStub")
    assert str(raised.value) == (
        'Error formatting the data: template: :1:16: executing "" at <.Colour>: '
        "can't evaluate field Colour in type *api.NodeListStub"
    )


def test_a_template_that_can_not_be_read_is_told_with_its_line():
    with pytest.raises(RaftnomadError, match=r"^Error formatting the data: template: :1: unclosed action$"):
        formatted(A_NODE, "{{ .Name", "Node")


def test_a_mistake_while_running_is_told():
    with pytest.raises(RaftnomadError, match=r"^Error formatting the data: template: .*len"):
        formatted(A_NODE, "{{ len .Drain }}", "Node")
