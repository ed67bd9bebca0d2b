from raftnomad.cli.monitor import allocation_table, deployed_groups, deployment_text

SECOND_NS = 1_000_000_000


def an_allocation(**fields):
    return {
        "ID": "aaaaaaaa-0000-0000-0000-000000000000",
        "EvalID": "eeeeeeee-0000-0000-0000-000000000000",
        "NodeID": "bbbbbbbb-0000-0000-0000-000000000000",
        "NodeName": "one",
        "TaskGroup": "web",
        "JobVersion": 2,
        "DesiredStatus": "run",
        "ClientStatus": "running",
        "CreateTime": 10 * SECOND_NS,
        "ModifyTime": 70 * SECOND_NS,
        **fields,
    }


def a_group(**fields):
    return {
        "AutoRevert": False,
        "DesiredCanaries": 0,
        "DesiredTotal": 2,
        "PlacedAllocs": 1,
        "HealthyAllocs": 1,
        "UnhealthyAllocs": 0,
        "Promoted": False,
        "ProgressDeadline": 0,
        "RequireProgressBy": "",
        **fields,
    }


def test_allocations_are_listed_with_short_ids_and_ages():
    told = allocation_table([an_allocation()], verbose=False, now_ns=75 * SECOND_NS).splitlines()
    assert told[0] == "ID        Node ID   Task Group  Version  Desired  Status   Created   Modified"
    assert told[1].startswith("aaaaaaaa  bbbbbbbb  web  ")
    assert told[1].endswith("run      running  1m5s ago  5s ago")


def test_verbose_shows_whole_ids_and_where_an_allocation_comes_from():
    told = allocation_table([an_allocation()], verbose=True, now_ns=0)
    assert "Eval ID" in told and "Node Name" in told
    assert "eeeeeeee-0000-0000-0000-000000000000" in told
    narrow = allocation_table([an_allocation()], verbose=True, now_ns=75 * SECOND_NS, node_name=False, ages=True)
    assert "Node Name" not in narrow and "5s ago" in narrow


def test_no_allocations_are_a_sentence():
    assert allocation_table([], verbose=False, now_ns=0) == "No allocations placed"


def test_columns_of_groups_that_no_group_uses_are_left_out():
    assert deployed_groups({"TaskGroups": {"web": a_group()}}).splitlines()[0].split() == (
        ["Task", "Group", "Desired", "Placed", "Healthy", "Unhealthy"]
    )


def test_a_group_without_canaries_beside_one_with_them_says_so():
    groups = {"api": a_group(), "web": a_group(DesiredCanaries=1, Promoted=True)}
    told = [line.split() for line in deployed_groups({"TaskGroups": groups}).splitlines()]
    assert told[1][:2] == ["api", "N/A"] and told[2][:2] == ["web", "true"]


def test_a_deployment_is_told_with_its_groups():
    deployment = {
        "ID": "dddddddd-0000-0000-0000-000000000000",
        "JobID": "web",
        "JobVersion": 3,
        "Status": "running",
        "StatusDescription": "Deployment is running",
        "TaskGroups": {"web": a_group()},
    }
    assert deployment_text(deployment, verbose=False).splitlines()[0] == "ID          = dddddddd"
    assert "\n\nDeployed\n" in deployment_text(deployment, verbose=False)
