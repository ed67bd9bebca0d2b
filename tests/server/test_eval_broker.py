from __future__ import annotations

from raftnomad.model.evaluation import Evaluation
from raftnomad.server.eval_broker import EvalBroker
from tests.makers import a_job, an_evaluation

TYPES = ("service", "batch", "system", "sysbatch")


def of_job(job_id: str, number: int, **fields: object) -> Evaluation:
    return an_evaluation(number, a_job(job_id), create_index=number, **fields)


def take(broker: EvalBroker, now_s: float = 0.0) -> tuple[str, str]:
    taken = broker.dequeue(TYPES, now_s)
    assert taken is not None
    return taken[0].job_id, taken[1]


def test_the_most_urgent_comes_first_and_then_the_oldest() -> None:
    broker = EvalBroker()
    for job_id, number, priority in (("late", 3, 50), ("early", 1, 50), ("urgent", 2, 90)):
        broker.enqueue(of_job(job_id, number, priority=priority), 0)
    assert [take(broker)[0] for _ in range(3)] == ["urgent", "early", "late"]
    assert broker.dequeue(TYPES, 0) is None


def test_only_wanted_types_are_handed_out() -> None:
    broker = EvalBroker()
    broker.enqueue(of_job("web", 1), 0)
    assert broker.dequeue(("batch",), 0) is None
    assert broker.dequeue(("service",), 0) is not None


def test_one_of_a_job_is_out_at_a_time_and_of_those_that_waited_the_newest_follows() -> None:
    broker = EvalBroker()
    evaluations = [of_job("web", number) for number in range(1, 5)]
    for evaluation in evaluations:
        broker.enqueue(evaluation, 0)
    first = broker.dequeue(TYPES, 0)
    assert first is not None
    assert first[0] == evaluations[0]
    assert broker.dequeue(TYPES, 0) is None
    broker.acknowledge(first[0].id, first[1], 0)
    second = broker.dequeue(TYPES, 0)
    assert second is not None
    assert second[0] == evaluations[3]
    assert broker.superseded == evaluations[1:3]
    broker.acknowledge(second[0].id, second[1], 0)
    assert broker.counts() == {"total_ready": 0, "total_unacked": 0, "total_pending": 0, "total_waiting": 0}


def test_what_is_not_acknowledged_comes_again_and_in_the_end_fails() -> None:
    broker = EvalBroker(nack_timeout_s=60, delivery_limit=3)
    evaluation = of_job("web", 1)
    broker.enqueue(evaluation, 0)
    now_s = 0.0
    for _ in range(3):
        assert take(broker, now_s)[0] == "web"
        assert broker.due_at() == now_s + 60
        now_s += 60
        broker.tick(now_s)
        assert broker.dequeue(TYPES, now_s) is None, "it waits a little first"
        now_s += 60
        broker.tick(now_s)
    assert broker.failed == [evaluation]
    assert broker.dequeue(TYPES, now_s) is None


def test_a_delivery_that_took_too_long_does_not_count_any_more() -> None:
    broker = EvalBroker(nack_timeout_s=10)
    evaluation = of_job("web", 1)
    broker.enqueue(evaluation, 0)
    _, token = take(broker)
    broker.extend(evaluation.id, token, 5)
    broker.tick(11)
    assert broker.is_outstanding(evaluation.id, token)
    broker.tick(15)
    assert not broker.is_outstanding(evaluation.id, token)
    broker.acknowledge(evaluation.id, token, 15)
    broker.tick(20)
    assert take(broker, 20)[0] == "web"


def test_a_rejected_one_comes_again_after_a_pause_that_grows() -> None:
    broker = EvalBroker()
    evaluation = of_job("web", 1)
    broker.enqueue(evaluation, 0)
    for now_s, pause_s in ((0, 1), (10, 20)):
        _, token = take(broker, now_s)
        broker.reject(evaluation.id, token, now_s)
        broker.tick(now_s + pause_s - 0.1)
        assert broker.dequeue(TYPES, now_s + pause_s - 0.1) is None
        broker.tick(now_s + pause_s)
        if now_s == 0:
            continue
    assert take(broker, 40)[0] == "web"


def test_a_delayed_one_waits_for_its_time() -> None:
    broker = EvalBroker()
    broker.enqueue(of_job("web", 1), 0, delay_s=30)
    assert broker.due_at() == 30
    broker.tick(29)
    assert broker.dequeue(TYPES, 29) is None
    broker.tick(30)
    assert take(broker, 30)[0] == "web"


def test_one_that_is_enqueued_while_it_is_out_goes_round_again() -> None:
    broker = EvalBroker()
    evaluation = of_job("web", 1)
    broker.enqueue(evaluation, 0)
    _, token = take(broker)
    broker.enqueue(evaluation, 0)
    assert broker.dequeue(TYPES, 0) is None
    broker.acknowledge(evaluation.id, token, 0)
    assert take(broker)[0] == "web"


def test_what_is_over_in_the_state_is_not_handed_out() -> None:
    broker = EvalBroker()
    first, second = of_job("web", 1), of_job("web", 2)
    broker.enqueue(first, 0)
    broker.enqueue(second, 0)
    broker.forget(first.id)
    taken = broker.dequeue(TYPES, 0)
    assert taken is not None
    assert taken[0] == second
    broker.forget(second.id)
    assert broker.is_outstanding(second.id, taken[1])
