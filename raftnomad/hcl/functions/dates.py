"""Functions of times that are written out; none of them asks for the present one."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable

from raftnomad.durations import parse_duration
from raftnomad.hcl.calls import Function, FunctionError, Parameter

_TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.\d+)?([Zz]|[-+]\d\d:\d\d)")
_WRONG = "not a valid RFC3339 timestamp: "
_DATE_PART = re.compile(r"'(?:[^']|'')*'|'.*|([A-Za-z])\1*|[^A-Za-z']+", re.S)
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _parse(text: str) -> datetime.datetime:
    """A time with its zone; raises FunctionError, with what is wrong about it."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise FunctionError(_WRONG + _reason(text))
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    if not 1 <= month <= 12:
        raise FunctionError(f'{_WRONG}cannot use "{text[7:]}" as month')
    for value, limit, name in ((hour, 23, "hour"), (minute, 59, "minute"), (second, 59, "second")):
        if value > limit:
            raise FunctionError(f"{_WRONG}{name} must be between 0 and {limit} inclusive")
    zone = datetime.UTC
    if found[7] not in "Zz":
        sign = -1 if found[7][0] == "-" else 1
        offset = datetime.timedelta(hours=int(found[7][1:3]), minutes=int(found[7][4:6]))
        zone = datetime.timezone(sign * offset)
    try:
        return datetime.datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        raise FunctionError(f"{_WRONG}day out of range") from None


def _reason(text: str) -> str:
    if not re.match(r"\d{4}", text):
        return f'cannot use "{text.split("-")[0]}" as year'
    if not re.search("[Tt]", text):
        return "missing required time introducer 'T'"
    if re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?", text):
        return "end of string before UTC offset"
    return f'cannot use "{text}" as a timestamp'


def _zone(moment: datetime.datetime, colon: bool) -> str:
    offset = moment.utcoffset() or datetime.timedelta()
    minutes = int(offset.total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}{':' if colon else ''}{abs(minutes) % 60:02d}"


def _is_utc(moment: datetime.datetime) -> bool:
    return not moment.utcoffset()


_PARTS: dict[str, Callable[[datetime.datetime], str]] = {
    "YYYY": lambda t: f"{t.year:04d}",
    "YY": lambda t: f"{t.year % 100:02d}",
    "M": lambda t: str(t.month),
    "MM": lambda t: f"{t.month:02d}",
    "MMM": lambda t: _MONTHS[t.month - 1][:3],
    "MMMM": lambda t: _MONTHS[t.month - 1],
    "D": lambda t: str(t.day),
    "DD": lambda t: f"{t.day:02d}",
    "EEE": lambda t: _DAYS[t.weekday()][:3],
    "EEEE": lambda t: _DAYS[t.weekday()],
    "h": lambda t: str(t.hour),
    "hh": lambda t: f"{t.hour:02d}",
    "H": lambda t: str(t.hour % 12 or 12),
    "HH": lambda t: f"{t.hour % 12 or 12:02d}",
    "AA": lambda t: "AM" if t.hour < 12 else "PM",
    "aa": lambda t: "am" if t.hour < 12 else "pm",
    "m": lambda t: str(t.minute),
    "mm": lambda t: f"{t.minute:02d}",
    "s": lambda t: str(t.second),
    "ss": lambda t: f"{t.second:02d}",
    "Z": lambda t: "Z" if _is_utc(t) else _zone(t, True),
    "ZZZ": lambda t: "UTC" if _is_utc(t) else _zone(t, False),
    "ZZZZ": lambda t: _zone(t, False),
    "ZZZZZ": lambda t: _zone(t, True),
}

_ADVICE = {
    "Y": 'year must either be "YY" or "YYYY"',
    "M": 'month must be "M", "MM", "MMM", or "MMMM"',
    "D": 'day of month must either be "D" or "DD"',
    "E": 'day of week must either be "EEE" or "EEEE"',
    "h": '24-hour must either be "h" or "hh"',
    "H": '12-hour must either be "H" or "HH"',
    "A": 'must be "AA"',
    "a": 'must be "aa"',
    "m": 'minute must either be "m" or "mm"',
    "s": 'second must either be "s" or "ss"',
    "Z": "timezone must be Z, ZZZ, ZZZZ, or ZZZZZ",
}


def _formatdate(pattern: str, text: str) -> str:
    try:
        moment = _parse(text)
    except FunctionError as error:
        raise FunctionError(str(error), 1) from None
    result: list[str] = []
    for part in _DATE_PART.finditer(pattern):
        word = part[0]
        if word.startswith("'"):
            if len(word) < 2 or not word.endswith("'"):
                raise FunctionError("unterminated literal '", 0)
            result.append("'" if word == "''" else word[1:-1].replace("''", "'"))
        elif part[1] is None:
            result.append(word)
        elif word in _PARTS:
            result.append(_PARTS[word](moment))
        else:
            advice = f": {_ADVICE[word[0]]}" if word[0] in _ADVICE else ""
            raise FunctionError(f'invalid date format verb "{word}"{advice}', 0)
    return "".join(result)


def _timeadd(text: str, duration: str) -> str:
    moment = _parse(text)
    try:
        added = moment + datetime.timedelta(microseconds=parse_duration(duration) // 1000)
    except ValueError as error:
        raise FunctionError(str(error)) from None
    except OverflowError:
        raise FunctionError("the result is out of range") from None
    zone = "Z" if _is_utc(added) else _zone(added, True)
    return f"{added:%Y-%m-%dT%H:%M:%S}{zone}"


DATE_FUNCTIONS: dict[str, Function] = {
    "formatdate": Function(parameters=(Parameter("format", "string"), Parameter("time", "string")), apply=_formatdate),
    "timeadd": Function(parameters=(Parameter("timestamp", "string"), Parameter("duration", "string")), apply=_timeadd),
}
