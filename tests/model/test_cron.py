import datetime

import pytest

from raftnomad.model.cron import next_launch, parse_cron
from raftnomad.model.policies import PeriodicConfig

NOW = int(datetime.datetime(2031, 3, 5, 10, 30, 15, tzinfo=datetime.UTC).timestamp()) * 1_000_000_000


def launch(spec: str, zone: str = "") -> str | None:
    found = next_launch(PeriodicConfig(enabled=True, specs=(spec,), time_zone=zone), NOW)
    return found.isoformat() if found is not None else None


@pytest.mark.parametrize(
    ("spec", "moment"),
    [
        ("*/5 * * * *", "2031-03-05T10:35:00+00:00"),
        ("@daily", "2031-03-06T00:00:00+00:00"),
        ("@hourly", "2031-03-05T11:00:00+00:00"),
        ("0 12 1 1 * 2099", "2099-01-01T12:00:00+00:00"),
        ("15 30 9 * * * 2099", "2099-01-01T09:30:15+00:00"),
        ("*/3 * * * * * *", "2031-03-05T10:30:18+00:00"),
        ("0 7/20 0 * * * 2099", "2099-01-01T00:07:00+00:00"),
        ("0 0 0 1 MAR,dec * 2099", "2099-03-01T00:00:00+00:00"),
        ("0 0 0 * * 7 2099", "2099-01-04T00:00:00+00:00"),
        ("0 0 0 15 * FRI 2099", "2099-01-02T00:00:00+00:00"),
        ("0 0 0 L 2 * 2099", "2099-02-28T00:00:00+00:00"),
        ("0 0 0 * * 5L 2099", "2099-01-30T00:00:00+00:00"),
        ("0 0 0 1W 2 * 2099", "2099-02-02T00:00:00+00:00"),
        ("0 0 0 LW 1 * 2099", "2099-01-30T00:00:00+00:00"),
        ("0 0 0 * * FRI#3 2099", "2099-01-16T00:00:00+00:00"),
        ("0 0 0 31 4,5 * 2099", "2099-05-31T00:00:00+00:00"),
        ("0 0 0 30 2 * 2099", None),
        ("0 0 0 1 1 * 2001", None),
    ],
)
def test_the_next_launch_is_found(spec: str, moment: str | None) -> None:
    assert launch(spec) == moment


def test_a_launch_is_in_the_jobs_own_time_zone() -> None:
    assert launch("0 12 1 7 * 2099", "America/New_York") == "2099-07-01T12:00:00-04:00"


def test_an_hour_that_is_skipped_in_spring_has_no_launch() -> None:
    assert launch("30 2 30 3 * 2031", "Europe/Paris") is None


def test_an_hour_that_comes_twice_in_autumn_launches_the_first_time() -> None:
    assert launch("30 2 26 10 * 2031", "Europe/Paris") == "2031-10-26T02:30:00+02:00"


def test_the_earliest_of_several_counts_and_none_when_disabled() -> None:
    both = PeriodicConfig(enabled=True, specs=("0 0 1 6 *", "0 0 1 5 *"))
    found = next_launch(both, NOW)
    assert found is not None and found.month == 5
    assert next_launch(PeriodicConfig(enabled=False, specs=("@daily",)), NOW) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("* * * *", "missing field(s)"),
        ("@every 5m", "missing field(s)"),
        ("60 * * * *", "syntax error in minute field: '60'"),
        ("0 0 0 * *", "syntax error in day-of-month field: '0'"),
        ("0 0 * FOO *", "syntax error in month field: 'FOO'"),
        ("0 0 * * 1#6", "syntax error in day-of-week field: '1#6'"),
        ("*/0 * * * *", "invalid interval */0"),
        ("*/99 * * * *", "invalid interval */99"),
        ("-5 * * * *", "syntax error in minute field: '-5'"),
        ("0 0 1 1 * 2200", "syntax error in year field: '2200'"),
    ],
)
def test_what_is_no_cron_expression_is_refused(spec: str, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse_cron(spec)
    assert str(refusal.value) == message
