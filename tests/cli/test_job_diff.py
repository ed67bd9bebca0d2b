from raftnomad.cli.job_diff import job_diff


def field(kind, name, old="", new="", annotations=None):
    return {"Type": kind, "Name": name, "Old": old, "New": new, "Annotations": annotations}


def test_a_new_job_shows_its_groups_and_tasks_and_nothing_else():
    task = {"Type": "Added", "Name": "main", "Fields": [field("Added", "Driver", new="raw_exec")], "Objects": None}
    group = {"Type": "Added", "Name": "web", "Updates": {"create": 1}, "Fields": [], "Objects": None}
    diff = {
        "Type": "Added",
        "ID": "web",
        "Fields": [field("Added", "Type", new="service")],
        "Objects": None,
        "TaskGroups": [group | {"Tasks": [task | {"Annotations": ["forces create"]}]}],
    }
    assert job_diff(diff, verbose=False) == (
        '+ Job: "web"\n+ Task Group: "web" (1 create)\n  + Task: "main" (forces create)'
    )
    assert '+ Driver: "raw_exec"' in job_diff(diff, verbose=True)


def test_a_changed_variable_is_shown_with_old_and_new():
    task = {
        "Type": "Edited",
        "Name": "main",
        "Annotations": ["forces create/destroy update"],
        "Fields": [field("Edited", "Env[COLOUR]", "red", "blue")],
        "Objects": None,
    }
    group = {"Type": "Edited", "Name": "web", "Updates": {"create/destroy update": 1}, "Fields": [], "Objects": None}
    diff = {"Type": "Edited", "ID": "web", "Fields": [], "Objects": None, "TaskGroups": [group | {"Tasks": [task]}]}
    assert job_diff(diff, verbose=False) == (
        '+/- Job: "web"\n'
        '+/- Task Group: "web" (1 create/destroy update)\n'
        '  +/- Task: "main" (forces create/destroy update)\n'
        '    +/- Env[COLOUR]: "red" => "blue"'
    )


def test_nothing_changed_has_no_marks():
    task = {"Type": "None", "Name": "main", "Annotations": None, "Fields": None, "Objects": None}
    group = {"Type": "None", "Name": "web", "Updates": {"ignore": 1}, "Fields": [], "Objects": None, "Tasks": [task]}
    diff = {"Type": "None", "ID": "web", "Fields": [], "Objects": None, "TaskGroups": [group]}
    assert job_diff(diff, verbose=False) == 'Job: "web"\nTask Group: "web" (1 ignore)\n  Task: "main"'


def test_marks_inside_of_a_block_stand_before_its_names():
    update = {
        "Type": "Edited",
        "Name": "Update",
        "Fields": [field("None", "Canary", "0", "0"), field("Edited", "MaxParallel", "1", "3")],
        "Objects": None,
    }
    port = {"Type": "Added", "Name": "Dynamic Port", "Fields": [field("Added", "To", new="0")], "Objects": None}
    network = {
        "Type": "Added",
        "Name": "Network",
        "Fields": [field("None", "Mode")],
        "Objects": [port],
    }
    group = {"Type": "Edited", "Name": "web", "Updates": {}, "Fields": [], "Objects": [update, network], "Tasks": []}
    diff = {"Type": "Edited", "ID": "web", "Fields": [], "Objects": None, "TaskGroups": [group]}
    assert job_diff(diff, verbose=False).splitlines()[2:] == [
        "  +/- Update {",
        '        Canary:      "0"',
        '    +/- MaxParallel: "1" => "3"',
        "      }",
        "  +   Network {",
        '        Mode: ""',
        "      + Dynamic Port {",
        '        + To: "0"',
        "        }",
        "      }",
    ]
