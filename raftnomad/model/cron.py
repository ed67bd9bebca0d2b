"""Cron expressions: when a periodic job is launched.

Five fields are minute, hour, day, month and weekday; a sixth is a year, a seventh puts seconds in front. Days and
weekdays are or-ed when both are given. `L`, `W` and `#` work as Quartz has them.
"""

from __future__ import annotations

import calendar
import datetime
import re
import zoneinfo
from collections.abc import Callable
from functools import lru_cache

import msgspec

from raftnomad.model.policies import PeriodicConfig

_MONTHS = [name.lower() for name in calendar.month_name[1:]]
_DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
_MACROS = {
    "@yearly": "0 0 0 1 1 * *",
    "@annually": "0 0 0 1 1 * *",
    "@monthly": "0 0 0 1 * * *",
    "@weekly": "0 0 0 * * 0 *",
    "@daily": "0 0 0 * * * *",
    "@hourly": "0 0 * * * * *",
}
_FIELDS = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day-of-month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day-of-week", 0, 7, _DAYS),
    ("year", 1970, 2099, ()),
)
YEAR_MAX = 2099

_DayRule = Callable[[datetime.date], bool]


class Cron(msgspec.Struct, frozen=True):
    """A parsed expression. `days` and `weekdays` are None where every day will do."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: frozenset[int]
    days: tuple[_DayRule, ...] | None
    weekdays: tuple[_DayRule, ...] | None

    def launches_on(self, day: datetime.date) -> bool:
        if day.month not in self.months or day.year not in self.years:
            return False
        if self.days is None and self.weekdays is None:
            return True
        rules = (*(self.days or ()), *(self.weekdays or ()))
        return any(rule(day) for rule in rules)


@lru_cache(maxsize=512)
def parse_cron(text: str) -> Cron:
    """Raises ValueError, in the words that Nomad's users know."""
    words = text.split()
    if words and words[0] in _MACROS:
        words = _MACROS[words[0]].split()
    if len(words) < 5:
        raise ValueError("missing field(s)")
    if len(words) == 5:
        words = ["0", *words, "*"]
    elif len(words) == 6:
        words = ["0", *words]
    values = [_numbers(word, *field) for word, field in zip(words[:3], _FIELDS[:3], strict=True)]
    months = _numbers(words[4], *_FIELDS[4])
    years = _numbers(words[6], *_FIELDS[6])
    seconds, minutes, hours = map(tuple, values)
    return Cron(
        seconds=seconds,
        minutes=minutes,
        hours=hours,
        months=frozenset(months),
        years=frozenset(years),
        days=None if words[3] in ("*", "?") else _day_rules(words[3]),
        weekdays=None if words[5] in ("*", "?") else _weekday_rules(words[5]),
    )


def _numbers(word: str, name: str, low: int, high: int, names: list[str] | tuple[str, ...]) -> list[int]:
    """The values of one field, in order."""
    found: set[int] = set()
    for part in filter(None, word.split(",")):
        body, slash, step_text = part.partition("/")
        if body in ("*", "?"):
            first, last = low, high
        else:
            start, dash, end = body.partition("-")
            first = _value(start, part, name, low, high, names)
            last = _value(end, part, name, low, high, names) if dash else (high if slash else first)
        step = 1
        if slash:
            if not step_text.isdigit():
                raise ValueError(f"syntax error in {name} field: '{part}'")
            step = int(step_text)
            if not 1 <= step <= high:
                raise ValueError(f"invalid interval {part}")
        if last < first:
            raise ValueError(f"syntax error in {name} field: '{part}'")
        found.update(range(first, last + 1, step))
    return sorted(found)


def _value(text: str, part: str, name: str, low: int, high: int, names: list[str] | tuple[str, ...]) -> int:
    if text.isascii() and text.isdigit():
        value = int(text)
    else:
        close = [index for index, full in enumerate(names) if text.lower() in (full, full[:3])]
        value = close[0] + (1 if low == 1 else 0) if close else -1
    if not low <= value <= high:
        raise ValueError(f"syntax error in {name} field: '{part}'")
    return value


def _day_rules(word: str) -> tuple[_DayRule, ...]:
    return tuple(_day_rule(part) for part in word.split(",") if part)


def _day_rule(part: str) -> _DayRule:
    upper = part.upper()
    if upper == "L":
        return lambda day: day.day == _last(day)
    if upper == "LW":
        return lambda day: day.day == _workday(day, _last(day))
    workday = re.fullmatch(r"(\d+)W", upper)
    if workday and 1 <= int(workday[1]) <= 31:
        near = int(workday[1])
        return lambda day: near <= _last(day) and day.day == _workday(day, near)
    days = frozenset(_numbers(part, *_FIELDS[3]))
    return lambda day: day.day in days


def _last(day: datetime.date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _workday(day: datetime.date, near: int) -> int:
    """The workday of the month that is nearest to one of its days, without leaving the month."""
    weekday = day.replace(day=near).weekday()
    if weekday == calendar.SATURDAY:
        return near - 1 if near > 1 else near + 2
    if weekday == calendar.SUNDAY:
        return near + 1 if near < _last(day) else near - 2
    return near


def _weekday_rules(word: str) -> tuple[_DayRule, ...]:
    return tuple(_weekday_rule(part) for part in word.split(",") if part)


def _weekday_rule(part: str) -> _DayRule:
    last = re.fullmatch(r"(\w+)L", part, re.I)
    if last and (last[1].isdigit() or last[1].lower() in {day[:3] for day in _DAYS}):
        weekday = _numbers(last[1], *_FIELDS[5])[0] % 7
        return lambda day: day.isoweekday() % 7 == weekday and day.day > _last(day) - 7
    nth = re.fullmatch(r"(\w+)#(\d+)", part)
    if nth:
        if not 1 <= int(nth[2]) <= 5:
            raise ValueError(f"syntax error in day-of-week field: '{part}'")
        weekday, number = _numbers(nth[1], *_FIELDS[5])[0] % 7, int(nth[2])
        return lambda day: day.isoweekday() % 7 == weekday and (day.day - 1) // 7 + 1 == number
    weekdays = frozenset(value % 7 for value in _numbers(part, *_FIELDS[5]))
    return lambda day: day.isoweekday() % 7 in weekdays


def zone_of(name: str) -> datetime.tzinfo:
    """A time zone by its name, UTC by default; raises ValueError."""
    if name in ("", "UTC"):
        return datetime.UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name}") from None


def next_launch(periodic: PeriodicConfig, after_ns: int) -> datetime.datetime | None:
    """The first launch later than a time (wall clock, ns since 1970), in the job's own time zone, or None.

    Raises ValueError for an expression or a zone that validation would refuse.
    """
    if not periodic.enabled:
        return None
    zone = zone_of(periodic.time_zone)
    after = datetime.datetime.fromtimestamp(after_ns // 1_000_000_000, zone)
    specs = periodic.specs or ((periodic.spec,) if periodic.spec else ())
    launches = [launch for launch in (_next(parse_cron(spec), after, zone) for spec in specs) if launch is not None]
    return min(launches, default=None)


def _next(cron: Cron, after: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime | None:
    day = after.date()
    years = sorted(year for year in cron.years if year >= day.year)
    if not years:
        return None
    day = max(day, datetime.date(years[0], 1, 1))
    while day.year <= years[-1]:
        if day.year not in cron.years or day.month not in cron.months:
            day = _first_of_next_month(day)
            continue
        if cron.launches_on(day):
            launch = _on_day(cron, day, after, zone)
            if launch is not None:
                return launch
        day += datetime.timedelta(days=1)
    return None


def _first_of_next_month(day: datetime.date) -> datetime.date:
    return (day.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)


def _on_day(
    cron: Cron, day: datetime.date, after: datetime.datetime, zone: datetime.tzinfo
) -> datetime.datetime | None:
    for hour in cron.hours:
        for minute in cron.minutes:
            for second in cron.seconds:
                wall = datetime.datetime(day.year, day.month, day.day, hour, minute, second)
                launch = wall.replace(tzinfo=zone)
                # An hour that the clocks skip does not exist; one that comes twice counts when it comes first.
                exists = launch.astimezone(datetime.UTC).astimezone(zone).replace(tzinfo=None) == wall
                if exists and launch > after:
                    return launch
    return None
