"""Functions of texts."""

from __future__ import annotations

import re

from raftnomad.hcl.calls import Function, FunctionError, Parameter
from raftnomad.hcl.characters import characters
from raftnomad.hcl.functions.arguments import whole
from raftnomad.hcl.numbers import Number
from raftnomad.hcl.values import HclList, Value, to_string

_TEXT = Parameter("str", "string")


def _upper(text: str) -> str:
    """Letter by letter, so that no letter becomes two."""
    return "".join(u if len(u := c.upper()) == 1 else c for c in text)


def _lower(text: str) -> str:
    return "".join(c.lower()[0] for c in text)


def _title(text: str) -> str:
    result, inside = [], False
    for code in text:
        result.append(code if inside or len(code.title()) > 1 else code.title())
        inside = _in_word(code)
    return "".join(result)


def _in_word(code: str) -> bool:
    """Go's idea of what separates words: letters, digits and the underscore do not, nor do signs beyond ASCII."""
    if code.isascii():
        return code.isalnum() or code == "_"
    return not code.isspace()


def _substr(text: str, offset: Number, length: Number) -> str:
    clusters = characters(text)
    start, count = whole(offset), whole(length)
    if start < 0:
        start += len(clusters)
    if count == 0 or start < 0:
        return ""
    end = len(clusters) if count < 0 else start + count
    return "".join(clusters[start:end])


def _join(separator: str, *lists: Value) -> str:
    if not lists:
        raise FunctionError("at least one list is required")
    texts: list[str] = []
    for number, items in enumerate(lists):
        assert isinstance(items, HclList)
        for index, item in enumerate(items.items):
            if item is None:
                message = f"element {index} is null; cannot concatenate null values"
                if len(lists) > 1:
                    message = f"element {index} of list {number} is null; cannot concatenate null values"
                raise FunctionError(message, number + 1)
            texts.append(to_string(item))
    return separator.join(texts)


def _split(separator: str, text: str) -> Value:
    parts = text.split(separator) if separator else list(text)
    return HclList(tuple(parts), "string")


def _indent(spaces: Number, text: str) -> str:
    return text.replace("\n", "\n" + " " * whole(spaces))


def _regex_replace(text: str, pattern: str, replacement: str) -> str:
    found = re.search(r"\(\?(?:<?[=!])", pattern)
    if found:
        raise FunctionError(f"error parsing regexp: invalid or unsupported Perl syntax: `{found[0]}`")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        reason = str(error)
        if "unterminated subpattern" in reason:
            raise FunctionError(f"error parsing regexp: missing closing ): `{pattern}`") from None
        raise FunctionError(f"error parsing regexp: {reason}: `{pattern}`") from None
    return compiled.sub(lambda match: _expanded(replacement, match), text)


def _expanded(template: str, match: re.Match[str]) -> str:
    """Go's `$1`, `${name}` and `$$` in a replacement; a group that is not there is empty."""

    def group(reference: re.Match[str]) -> str:
        if reference[0] == "$$":
            return "$"
        name = reference[1] or reference[2]
        try:
            return match[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    return re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", group, template)


def _trim(text: str, cutset: str) -> str:
    return text.strip(cutset) if cutset else text


TEXT_FUNCTIONS: dict[str, Function] = {
    "chomp": Function(parameters=(_TEXT,), apply=lambda text: text.rstrip("\r\n")),
    "indent": Function(parameters=(Parameter("spaces", "number"), _TEXT), apply=_indent),
    "join": Function(
        parameters=(Parameter("separator", "string"),), rest=Parameter("lists", ("list", "string")), apply=_join
    ),
    "lower": Function(parameters=(_TEXT,), apply=_lower),
    "regex_replace": Function(
        parameters=(_TEXT, Parameter("pattern", "string"), Parameter("replace", "string")), apply=_regex_replace
    ),
    "replace": Function(
        parameters=(_TEXT, Parameter("substr", "string"), Parameter("replace", "string")),
        apply=lambda text, old, new: text.replace(old, new),
    ),
    "reverse": Function(parameters=(_TEXT,), apply=lambda text: "".join(reversed(characters(text)))),
    "split": Function(parameters=(Parameter("separator", "string"), _TEXT), apply=_split),
    "strlen": Function(parameters=(_TEXT,), apply=lambda text: len(characters(text))),
    "strrev": Function(parameters=(_TEXT,), apply=lambda text: "".join(reversed(characters(text)))),
    "substr": Function(parameters=(_TEXT, Parameter("offset", "number"), Parameter("length", "number")), apply=_substr),
    "title": Function(parameters=(_TEXT,), apply=_title),
    "trim": Function(parameters=(_TEXT, Parameter("cutset", "string")), apply=_trim),
    "trimprefix": Function(
        parameters=(_TEXT, Parameter("prefix", "string")), apply=lambda text, prefix: text.removeprefix(prefix)
    ),
    "trimspace": Function(parameters=(_TEXT,), apply=lambda text: text.strip()),
    "trimsuffix": Function(
        parameters=(_TEXT, Parameter("suffix", "string")),
        apply=lambda text, suffix: text.removesuffix(suffix) if suffix else text,
    ),
    "upper": Function(parameters=(_TEXT,), apply=_upper),
}
