from __future__ import annotations

import pytest

from raftnomad.client.restart_policy import Decision, Done, Ending, GiveUp, History, Restart, decide
from raftnomad.model.policies import RestartPolicy

SECOND = 1_000_000_000
FAIL = RestartPolicy(attempts=2, interval_ns=600 * SECOND, delay_ns=SECOND, mode="fail")
DELAY = RestartPolicy(attempts=2, interval_ns=12 * SECOND, delay_ns=SECOND, mode="delay")


def endings(
    policy: RestartPolicy, ending: Ending, times_s: list[float], *, restart_on_success: bool = True
) -> list[Decision]:
    """The decisions after attempts that ended at these times, in one history that began at 0."""
    history, decisions = History(), []
    for time_s in times_s:
        decision, history = decide(
            policy,
            history,
            ending,
            restart_on_success=restart_on_success,
            now_ns=int(time_s * SECOND),
            chance=0.0,
        )
        decisions.append(decision)
    return decisions


def test_a_task_is_restarted_as_often_as_the_policy_allows_and_then_fails() -> None:
    first, second, third = endings(FAIL, Ending.FAILURE, [1, 3, 5])
    assert first == second == Restart(delay_ns=SECOND, reason="Restart within policy")
    assert third == GiveUp(reason='Exceeded allowed attempts 2 in interval 10m0s and mode is "fail"')


def test_mode_delay_waits_for_the_end_of_the_interval() -> None:
    decisions = endings(DELAY, Ending.SUCCESS, [0, 1, 2.5])
    assert decisions[-1] == Restart(delay_ns=int(9.5 * SECOND), reason="Exceeded allowed attempts, applying a delay")


def test_a_new_interval_allows_all_attempts_again() -> None:
    decisions = endings(DELAY, Ending.FAILURE, [0, 1, 2, 12.1, 13, 14])
    reasons = [decision.reason for decision in decisions if isinstance(decision, Restart)]
    assert reasons == ["Restart within policy"] * 2 + ["Exceeded allowed attempts, applying a delay"] + [
        "Restart within policy",
        "Restart within policy",
        "Exceeded allowed attempts, applying a delay",
    ]


def test_success_completes_what_should_complete_and_restarts_what_should_last() -> None:
    assert endings(FAIL, Ending.SUCCESS, [1], restart_on_success=False) == [Done()]
    assert isinstance(endings(FAIL, Ending.SUCCESS, [1], restart_on_success=True)[0], Restart)


@pytest.mark.parametrize("ending", [Ending.FAILURE, Ending.UNRECOVERABLE, Ending.START_FAILED])
def test_without_attempts_nothing_is_restarted(ending: Ending) -> None:
    policy = RestartPolicy(attempts=0, mode="fail")
    assert endings(policy, ending, [1]) == [GiveUp(reason="Policy allows no restarts")]


def test_what_no_restart_can_help_fails_at_once() -> None:
    assert endings(FAIL, Ending.UNRECOVERABLE, [1]) == [GiveUp(reason="Error was unrecoverable")]
    assert isinstance(endings(FAIL, Ending.START_FAILED, [1])[0], Restart)


def test_jitter_lengthens_a_delay_by_at_most_a_quarter() -> None:
    decision, _ = decide(FAIL, History(), Ending.FAILURE, restart_on_success=True, now_ns=SECOND, chance=0.999)
    assert isinstance(decision, Restart) and SECOND < decision.delay_ns < 1.25 * SECOND


def test_a_clock_that_was_set_back_opens_a_new_interval() -> None:
    history = History(restarts=2, interval_started_ns=1000 * SECOND)
    decision, after = decide(FAIL, history, Ending.FAILURE, restart_on_success=True, now_ns=SECOND, chance=0.0)
    assert isinstance(decision, Restart) and after.restarts == 1
