from raftnomad.cli.metrics import placement_failure


def test_each_reason_has_its_line():
    metrics = {
        "NodesEvaluated": 3,
        "NodesAvailable": {"dc1": 3, "dc2": 0},
        "ConstraintFiltered": {"missing drivers": 1},
        "NodesExhausted": 2,
        "DimensionExhausted": {"memory": 2},
    }
    assert placement_failure(metrics, "  ") == [
        '  * No nodes are available in datacenter "dc2"',
        '  * Constraint "missing drivers": 1 nodes excluded by filter',
        "  * Resources exhausted on 2 nodes",
        '  * Dimension "memory" exhausted on 2 nodes',
    ]


def test_no_node_at_all_is_a_reason_too():
    assert placement_failure({"NodesEvaluated": 0}, "") == ["* No nodes were eligible for evaluation"]
