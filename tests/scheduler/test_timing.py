from raftnomad.model.allocation import AllocMetric
from raftnomad.model.evaluation import Evaluation
from raftnomad.model.plan import PlacementBlock, Plan
from raftnomad.scheduler.input import SchedulerOutput
from raftnomad.scheduler.timing import timed


def test_the_time_is_shared_among_the_groups_that_were_to_be_placed():
    output = SchedulerOutput(
        plan=Plan(placements=(PlacementBlock(task_group="web", metrics=AllocMetric()),)),
        evaluation=Evaluation(failed_tg_allocs={"db": AllocMetric(coalesced_failures=2)}),
        created=(Evaluation(failed_tg_allocs={"db": AllocMetric()}), Evaluation()),
    )
    told = timed(output, 1000)
    assert told.plan.placements[0].metrics == AllocMetric(allocation_time_ns=500)
    assert told.evaluation.failed_tg_allocs == {"db": AllocMetric(coalesced_failures=2, allocation_time_ns=500)}
    assert told.created == (Evaluation(failed_tg_allocs={"db": AllocMetric(allocation_time_ns=500)}), Evaluation())


def test_nothing_to_place_took_no_time():
    output = SchedulerOutput(plan=Plan(), evaluation=Evaluation())
    assert timed(output, 1000) is output
