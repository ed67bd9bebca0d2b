"""Stories of a service or batch job: what each evaluation plans."""

from __future__ import annotations

import msgspec

from raftnomad.model.allocation import DesiredTransition
from raftnomad.model.job import EphemeralDisk
from raftnomad.model.policies import ReschedulePolicy
from raftnomad.model.resources import Constraint
from tests.scheduler.cluster import SECOND_NS, a_cluster, a_group, a_job, a_node, a_version_after, counts, rolling


def test_a_new_job_is_placed() -> None:
    cluster = a_cluster()
    output = cluster.run(a_job(a_group(count=3)))
    assert counts(output) == {"place": 3}
    assert cluster.names() == ["web.g[0]", "web.g[1]", "web.g[2]"]
    assert output.evaluation.status == "complete"
    assert output.evaluation.queued_allocations == {"g": 0}
    assert output.created == ()


def test_an_unchanged_job_is_left_alone() -> None:
    cluster = a_cluster()
    cluster.run(a_job(a_group(count=2)))
    output = cluster.run(a_job(a_group(count=2)))
    assert counts(output) == {"ignore": 2}
    assert output.is_empty


def test_scaling_up_takes_the_lowest_free_numbers_and_down_the_highest() -> None:
    cluster = a_cluster()
    job = a_job(a_group(count=3))
    cluster.run(job)
    gone = next(alloc for alloc in cluster.live() if alloc.name == "web.g[1]")
    cluster.change(gone.id, client_status="complete")
    cluster.run(job)
    assert cluster.names() == ["web.g[0]", "web.g[1]", "web.g[2]"]
    output = cluster.run(a_version_after(job, a_group(count=1)))
    assert counts(output) == {"stop": 2, "in_place_update": 1}
    assert cluster.names() == ["web.g[0]"]


def test_a_stopped_job_stops_everything() -> None:
    cluster = a_cluster()
    job = a_job(a_group(count=2, update=rolling()))
    cluster.run(job)
    output = cluster.run(a_version_after(job, stop=True))
    assert counts(output) == {"stop": 2}
    assert cluster.live() == []
    assert [update.status_description for update in output.plan.deployment_updates] == [
        "Cancelled because job is stopped"
    ]


def test_a_purged_job_stops_everything() -> None:
    cluster = a_cluster()
    cluster.run(a_job(a_group(count=2)))
    cluster.run(None)
    assert cluster.live() == []


def test_what_does_not_fit_blocks_and_says_why() -> None:
    cluster = a_cluster(nodes=1)
    output = cluster.run(a_job(a_group(count=15)))
    assert len(cluster.live()) == 10
    assert output.evaluation.queued_allocations == {"g": 5}
    metric = (output.evaluation.failed_tg_allocs or {})["g"]
    assert metric.dimension_exhausted == {"cpu": 1}
    assert metric.coalesced_failures == 4
    assert (metric.resources_exhausted or {})["t"].cpu == 500
    (blocked,) = output.created
    assert (blocked.status, blocked.triggered_by) == ("blocked", "queued-allocs")
    assert blocked.status_description == "created to place remaining allocations"
    assert output.evaluation.blocked_eval == blocked.id
    assert list((blocked.class_eligibility or {}).values()) == [True]
    assert blocked.job_modify_index == output.evaluation.job_modify_index


def test_a_blocked_evaluation_stays_the_same_one() -> None:
    cluster = a_cluster(nodes=1)
    job = a_job(a_group(count=11))
    (blocked,) = cluster.run(job).created
    output = cluster.run(job, evaluation=blocked)
    assert output.created == ()
    assert (output.evaluation.id, output.evaluation.status) == (blocked.id, "blocked")


def test_a_constraint_that_no_node_meets_is_named() -> None:
    cluster = a_cluster(nodes=2)
    constraint = Constraint(l_target="${attr.kernel.name}", operand="=", r_target="windows")
    output = cluster.run(a_job(constraints=(constraint,)))
    metric = (output.evaluation.failed_tg_allocs or {})["g"]
    assert metric.constraint_filtered == {"${attr.kernel.name} = windows": 2}
    assert (metric.nodes_evaluated, metric.nodes_filtered, metric.nodes_available) == (2, 2, {"dc1": 2})
    assert list((output.created[0].class_eligibility or {}).values()) == [False]


def test_another_datacenter_has_no_nodes() -> None:
    output = a_cluster().run(a_job(datacenters=("dc2",)))
    metric = (output.evaluation.failed_tg_allocs or {})["g"]
    assert (metric.nodes_evaluated, metric.nodes_in_pool, metric.nodes_available) == (0, 0, {})


def test_a_pattern_of_datacenters_matches() -> None:
    assert a_cluster().run(a_job(datacenters=("d*",))).created == ()


def test_a_lost_allocation_is_replaced() -> None:
    cluster = a_cluster(nodes=2)
    job = a_job(a_group(count=1))
    cluster.run(job)
    (alloc,) = cluster.live()
    cluster.nodes[alloc.node_id] = a_node(alloc.node_id, status="down")
    output = cluster.run(job)
    assert counts(output) == {"place": 1, "stop": 1}
    old = cluster.allocations[alloc.id]
    assert (old.client_status, old.desired_description) == ("lost", "alloc is lost since its node is down")
    (new,) = cluster.live()
    assert (new.name, new.previous_allocation, new.node_id != alloc.node_id) == (alloc.name, alloc.id, True)


def test_a_migrating_allocation_moves() -> None:
    cluster = a_cluster(nodes=2)
    job = a_job()
    cluster.run(job)
    (alloc,) = cluster.live()
    cluster.change(alloc.id, desired_transition=DesiredTransition(migrate=True))
    output = cluster.run(job)
    assert counts(output) == {"migrate": 1}
    assert cluster.allocations[alloc.id].desired_description == "alloc is being migrated"
    assert cluster.names() == ["web.g[0]"]


def test_a_failed_allocation_waits_for_its_delay_and_is_replaced() -> None:
    cluster = a_cluster()
    job = a_job()
    cluster.run(job)
    (alloc,) = cluster.live()
    cluster.fail(alloc.id)
    output = cluster.run(job)
    assert counts(output) == {"ignore": 1, "reschedule_later": 1}
    (followup,) = output.created
    assert (followup.triggered_by, followup.status) == ("alloc-reschedule", "pending")
    assert followup.wait_until == "2027-01-15T08:00:30Z"
    assert output.evaluation.next_eval == followup.id
    assert cluster.allocations[alloc.id].followup_eval_id == followup.id
    assert cluster.run(job).created == (), "it waits already"
    cluster.now_ns += 30 * SECOND_NS
    output = cluster.run(job, evaluation=followup)
    assert counts(output) == {"place": 1, "stop": 1}
    (new,) = cluster.live()
    assert new.reschedule_tracker is not None
    (event,) = new.reschedule_tracker.events or ()
    assert (event.prev_alloc_id, event.delay_ns) == (alloc.id, 30 * SECOND_NS)
    assert new.node_id != alloc.node_id, "it rather goes elsewhere"


def test_delays_grow_and_attempts_end() -> None:
    cluster = a_cluster()
    policy = ReschedulePolicy(attempts=1, interval_ns=3600 * SECOND_NS, delay_ns=5 * SECOND_NS)
    job = a_job(a_group(reschedule_policy=policy))
    cluster.run(job)
    for _ in range(3):
        for alloc in cluster.live():
            cluster.fail(alloc.id)
        cluster.now_ns += 10 * SECOND_NS
        cluster.run(job)
    assert len(cluster.allocations) == 2
    assert cluster.live() == []


def test_a_forced_reschedule_goes_beyond_the_attempts() -> None:
    cluster = a_cluster()
    job = a_job(a_group(reschedule_policy=ReschedulePolicy()))
    cluster.run(job)
    (alloc,) = cluster.live()
    cluster.fail(alloc.id)
    assert cluster.run(job).is_empty
    cluster.change(alloc.id, desired_transition=DesiredTransition(force_reschedule=True))
    cluster.run(job)
    assert len(cluster.live()) == 1


def test_in_place_updates_keep_the_allocation() -> None:
    cluster = a_cluster()
    job = a_job(a_group(count=2, update=rolling()))
    cluster.run(job)
    first = cluster.deployment
    ids = {alloc.id for alloc in cluster.live()}
    output = cluster.run(a_version_after(job, priority=60))
    assert counts(output) == {"in_place_update": 2}
    assert {alloc.id for alloc in cluster.live()} == ids
    assert cluster.deployment is not None
    assert first is not None
    assert cluster.deployment.id != first.id
    assert {alloc.deployment_id for alloc in cluster.live()} == {cluster.deployment.id}


def test_a_destructive_update_rolls_by_max_parallel() -> None:
    cluster = a_cluster()
    job = a_job(a_group(count=3, update=rolling()))
    output = cluster.run(job)
    assert counts(output) == {"place": 3}
    assert output.plan.deployment is not None
    cluster.heal()
    output = cluster.run(job)
    assert [one.status for one in output.plan.deployment_updates] == ["successful"]
    newer = a_version_after(job, a_group(count=3, cpu=150, update=rolling()))
    for step in range(3):
        output = cluster.run(newer)
        assert counts(output) == {"destructive_update": 1, "ignore": 2}, step
        assert cluster.run(newer).plan.placements == (), "it waits for health"
        cluster.heal()
    output = cluster.run(newer)
    assert counts(output) == {"ignore": 3}
    assert [one.status for one in output.plan.deployment_updates] == ["successful"]


def test_an_unhealthy_update_goes_no_further() -> None:
    cluster = a_cluster()
    job = a_job(a_group(count=3, update=rolling(max_parallel=2)))
    cluster.run(job)
    newer = a_version_after(job, a_group(count=3, cpu=150, update=rolling(max_parallel=2)))
    assert counts(cluster.run(newer)) == {"destructive_update": 2, "ignore": 1}
    cluster.heal(healthy=False)
    assert counts(cluster.run(newer)) == {"ignore": 3}


def test_a_newer_version_cancels_the_deployment() -> None:
    cluster = a_cluster()
    job = a_job(a_group(count=1, update=rolling()))
    cluster.run(job)
    output = cluster.run(a_version_after(job, a_group(cpu=200, update=rolling())))
    assert [one.status_description for one in output.plan.deployment_updates] == [
        "Cancelled due to newer version of job"
    ]


def test_canaries_run_beside_the_old_version_until_they_are_promoted() -> None:
    cluster = a_cluster()
    strategy = rolling(canary=1)
    job = a_job(a_group(count=2, update=strategy))
    cluster.run(job)
    cluster.heal()
    cluster.run(job)
    newer = a_version_after(job, a_group(count=2, cpu=150, update=strategy))
    output = cluster.run(newer)
    assert counts(output) == {"canary": 1, "ignore": 2}
    assert output.plan.deployment is not None
    assert output.plan.deployment.status_description == "Deployment is running but requires manual promotion"
    assert len(cluster.live()) == 3
    cluster.heal()
    assert cluster.run(newer).is_empty
    # A node takes an old one with it: it comes back as it was.
    old = next(alloc for alloc in cluster.live() if alloc.job is not None and alloc.job.version == 0)
    cluster.nodes["n9"] = a_node("n9", status="down")
    cluster.change(old.id, node_id="n9")
    output = cluster.run(newer)
    assert counts(output) == {"place": 1, "stop": 1, "ignore": 2}
    assert output.plan.placements[0].job_version == 0
    # Promoted: the canaries are ordinary now, and the update goes on.
    assert cluster.deployment is not None
    states = {
        name: msgspec.structs.replace(state, promoted=True)
        for name, state in (cluster.deployment.task_groups or {}).items()
    }
    cluster.deployment = msgspec.structs.replace(cluster.deployment, task_groups=states)
    for alloc in cluster.live():
        if alloc.deployment_status and alloc.deployment_status.canary:
            cluster.change(alloc.id, deployment_status=msgspec.structs.replace(alloc.deployment_status, canary=False))
    for _ in range(3):
        cluster.run(newer)
        cluster.heal()
    assert {alloc.job.version for alloc in cluster.live() if alloc.job} == {1}
    assert cluster.names() == ["web.g[0]", "web.g[1]"]


def test_a_replacement_may_take_the_place_of_what_it_replaces() -> None:
    cluster = a_cluster(nodes=1)
    job = a_job(a_group(cpu=600))
    cluster.run(job)
    output = cluster.run(a_version_after(job, a_group(cpu=700)))
    assert counts(output) == {"destructive_update": 1}
    assert output.created == ()
    assert len(cluster.live()) == 1


def test_what_can_not_be_replaced_stays() -> None:
    cluster = a_cluster(nodes=1)
    job = a_job(a_group(count=2, cpu=400))
    cluster.run(job)
    output = cluster.run(a_version_after(job, a_group(count=2, cpu=600)))
    assert output.evaluation.queued_allocations == {"g": 1}
    versions = sorted(alloc.job.version for alloc in cluster.live() if alloc.job)
    assert len(versions) in (1, 2)
    used = sum(400 if version == 0 else 600 for version in versions)
    assert used <= 1000
    assert versions == [0, 1]


def test_a_group_that_was_removed_stops() -> None:
    cluster = a_cluster()
    job = a_job(a_group("a"), a_group("b"))
    cluster.run(job)
    output = cluster.run(a_version_after(job, a_group("a")))
    assert counts(output, "b") == {"stop": 1}
    assert cluster.names() == ["web.a[0]"]


def test_a_batch_run_that_ended_well_is_not_repeated_but_for_a_new_version() -> None:
    cluster = a_cluster()
    job = a_job(a_group(count=2), type="batch")
    cluster.run(job)
    for alloc in cluster.live():
        cluster.finish(alloc.id)
    assert cluster.run(job).is_empty
    assert counts(cluster.run(a_version_after(job))) == {"place": 2}


def test_a_batch_run_that_a_drain_has_ended_is_not_begun_again() -> None:
    cluster, job = a_cluster(), a_job(type="batch")
    cluster.run(job)
    (alloc,) = cluster.live()
    cluster.change(alloc.id, desired_transition=DesiredTransition(migrate=True, migrate_disable_placement=True))
    output = cluster.run(job)
    assert (counts(output), output.plan.placements) == ({"stop": 1}, ())
    assert cluster.run(job).is_empty, "nor by a later evaluation"


def test_what_was_told_to_stop_on_a_node_that_is_down_is_lost() -> None:
    for kind in ("service", "system"):
        cluster, job = a_cluster(), a_job(type=kind)
        cluster.run(job)
        alloc = cluster.live()[0]
        cluster.change(alloc.id, desired_status="stop")
        cluster.nodes[alloc.node_id] = a_node(alloc.node_id, status="down")
        output = cluster.run(None)
        assert [stop.client_status for stop in output.plan.stops if stop.alloc_id == alloc.id] == ["lost"]


def test_a_service_that_ended_is_placed_again() -> None:
    cluster = a_cluster()
    cluster.run(a_job())
    (alloc,) = cluster.live()
    cluster.finish(alloc.id)
    cluster.run(a_job())
    assert cluster.names() == ["web.g[0]"]


def test_a_sticky_disk_stays_on_its_node() -> None:
    cluster = a_cluster()
    job = a_job(a_group(ephemeral_disk=EphemeralDisk(size_mb=10, sticky=True)))
    cluster.run(job)
    (alloc,) = cluster.live()
    cluster.change(alloc.id, node_id="n2")
    cluster.run(a_version_after(job, a_group(cpu=200, ephemeral_disk=EphemeralDisk(size_mb=10, sticky=True))))
    assert [alloc.node_id for alloc in cluster.live()] == ["n2"]


def test_the_same_input_gives_the_same_plan() -> None:
    cluster = a_cluster()
    job = a_job(a_group(count=5))
    assert cluster.schedule(job) == cluster.schedule(job)


def test_input_and_output_cross_a_pipe() -> None:
    cluster = a_cluster()
    job = a_job(a_group(count=5, update=rolling()))
    cluster.run(job)
    asked = cluster.input(job)
    encode, decode = msgspec.msgpack.encode, msgspec.msgpack.decode
    assert decode(encode(asked), type=type(asked)) == asked
    output = cluster.run(a_version_after(job, a_group(count=20, cpu=300)))
    assert decode(encode(output), type=type(output)) == output
