"""Reading a file: attributes and blocks, down to the whole tree."""

from __future__ import annotations

import re
from typing import NoReturn

from raftnomad.hcl import syntax as s
from raftnomad.hcl.diagnostics import Diagnostic, HclError, Source, place
from raftnomad.hcl.expressions import normalized
from raftnomad.hcl.lexical import BLANK_LINES, BLANKS, NAME, invalid_characters, token_end
from raftnomad.hcl.templates import TemplateParser

SIZE_MAX = 4 * 1024 * 1024
"""The largest text that is read, in characters; a job may be 1 MB as it travels."""

_LABEL = re.compile(r'"((?:[^"\\\n$%]|\$(?!\{)|%(?!\{)|\\[^\n])*)"')
_QUICK_ATTRIBUTE = re.compile(r'[ \t]*=[ \t]*(?:"([^"\\$%\n]*)"|(\d{1,15}))(?=\r?\n)')


def parse(source: Source) -> s.Body:
    """The tree of a file; raises HclError with the first thing that is wrong, after all impossible characters."""
    if len(source.text) > SIZE_MAX:
        too_large = Diagnostic(summary="File too large", detail=f"A file may have at most {SIZE_MAX} characters.")
        raise HclError((too_large,))
    parser = Parser(source)
    try:
        return parser.file()
    except RecursionError:
        raise parser.too_deep() from None
    except HclError as error:
        raise HclError((*invalid_characters(source), *error.diagnostics)) from None


def parse_expression(source: Source) -> s.Expression:
    """The tree of a text that is one expression, such as the value of a variable; raises HclError."""
    parser = Parser(source)
    parser.skip(True)
    try:
        expression = parser.expression(True)
    except RecursionError:
        raise parser.too_deep() from None
    parser.skip(True)
    if parser.position < parser.end:
        parser.fail(
            "Extra characters after expression",
            "An expression was successfully parsed, but extra characters were found after it.",
        )
    return expression


def parse_template(source: Source, start: int = 0) -> s.Expression:
    """The tree of a text that is one template from `start` on, as texts of JSON files are; raises HclError."""
    parser = Parser(source)
    parser.position = start
    pieces = parser.pieces(quoted=False)
    return parser.template(start, parser.end, pieces, (start, parser.end))


class Parser(TemplateParser):
    def file(self) -> s.Body:
        self.position = 1 if self.text.startswith("\ufeff") else 0
        body = self.body(None)
        assert self.position >= self.end
        return body

    def body(self, opened: int | None) -> s.Body:
        """Everything up to the closing brace of the block that `opened` at an offset, or up to the end."""
        text = self.text
        body = s.Body(self.position, self.position, {}, [])
        while True:
            blanks = BLANK_LINES.match(text, self.position)
            if blanks:
                self.position = blanks.end()
            start = self.position
            name = NAME.match(text, start)
            if name is None:
                if self.position >= self.end and opened is None:
                    break
                if opened is not None and text.startswith("}", start):
                    break
                self.no_item(opened)
            else:
                self.item(body, start, name[0], name.end())
        body.end = self.position
        return body

    def no_item(self, opened: int | None) -> NoReturn:
        if self.position >= self.end and opened is not None:
            detail = (
                "There is no closing brace for this block before the end of the file. This may be caused by incorrect "
                "brace nesting elsewhere in this file."
            )
            self.fail("Unclosed configuration block", detail, opened)
        if self.at('"'):
            self.fail("Invalid argument name", "Argument names must not be quoted.")
        self.fail("Argument or block definition required", "An argument or block definition is required here.")

    def item(self, body: s.Body, start: int, name: str, name_end: int) -> None:
        text = self.text
        quick = _QUICK_ATTRIBUTE.match(text, name_end)
        if quick and name not in body.attributes:
            value, number = quick.groups()
            end = self.position = quick.end()
            expression: s.Expression
            if number is None:
                begin = quick.start(1)
                expression = s.Text(begin - 1, end, normalized(value), begin, end - 1)
            else:
                expression = s.Literal(quick.start(2), end, int(number))
            body.attributes[name] = s.Attribute(start, end, name, expression)
            return
        blanks = BLANKS.match(text, name_end)
        self.position = blanks.end() if blanks else name_end
        following = text[self.position : self.position + 1]
        if following == "=":
            self.attribute(body, start, name, name_end)
            self.end_of("argument")
        elif following in ('"', "{", "\n", "\r") or NAME.match(text, self.position):
            if following in ("\n", "\r", ""):
                self.no_sign(start, name_end)
            body.blocks.append(self.block(start, name))
            self.end_of("block definition")
        else:
            self.no_sign(start, name_end)

    def no_sign(self, start: int, name_end: int) -> NoReturn:
        self.fail(
            "Argument or block definition required",
            'An argument or block definition is required here. To set an argument, use the equals sign "=" to '
            "introduce the argument value.",
            start,
            name_end,
        )

    def attribute(self, body: s.Body, start: int, name: str, name_end: int) -> None:
        before = body.attributes.get(name)
        self.position += 1
        self.skip(False)
        value = self.expression(False)
        if before is not None:
            where = place(self.source, before.start, before.start + len(name))
            detail = (
                f'The argument "{name}" was already set at {self.source.name}:{where}. '
                "Each argument may be set only once."
            )
            self.fail("Attribute redefined", detail, start, name_end)
        body.attributes[name] = s.Attribute(start, value.end, name, value)

    def end_of(self, what: str) -> None:
        self.skip(False)
        if self.position >= self.end or self.text[self.position] in "\n\r":
            return
        article = "An" if what.startswith("a") else "A"
        definition = what if what.endswith("definition") else f"{what} definition"
        detail = f"{article} {definition} must end with a newline."
        if self.at(",") and what == "argument":
            comma = "Argument definitions must be separated by newlines, not commas. "
            self.fail("Unexpected comma after argument", comma + detail)
        self.fail(f"Missing newline after {what}", detail)

    def block(self, start: int, block_type: str) -> s.Block:
        text = self.text
        labels: list[s.Label] = []
        while not text.startswith("{", self.position):
            labels.append(self.label())
            self.skip(False)
        opening = self.position
        self.descend()
        self.position += 1
        self.skip(False)
        if self.position >= self.end or text[self.position] in "\n\r}":
            body = self.body(opening)
        else:
            body = self.single_attribute()
        self.position += 1
        self.depth -= 1
        return s.Block(start, self.position, block_type, tuple(labels), body, opening)

    def label(self) -> s.Label:
        start = self.position
        name = NAME.match(self.text, start)
        if name:
            self.position = name.end()
            return s.Label(start, name.end(), name[0])
        if not self.at('"'):
            self.no_label()
        quoted = _LABEL.match(self.text, start)
        if quoted is None:
            self.bad_label(start)
        self.position = quoted.end()
        return s.Label(start, quoted.end(), normalized(self.unescaped(quoted[1], start + 1)))

    def no_label(self) -> NoReturn:
        if self.at("="):
            detail = 'The equals sign "=" indicates an argument definition, and must not be used when defining a block.'
        elif self.at("\n") or self.at("\r") or self.position >= self.end:
            detail = (
                'A block definition must have block content delimited by "{" and "}", starting on the same line as '
                "the block header."
            )
        else:
            detail = 'Either a quoted string block label or an opening brace ("{") is expected here.'
        self.fail("Invalid block definition", detail)

    def bad_label(self, start: int) -> NoReturn:
        newline = self.text.find("\n", start)
        closing = self.text.find('"', start + 1)
        for opening in ("${", "%{"):
            found = self.text.find(opening, start)
            if 0 <= found < (closing if closing >= 0 else self.end):
                sign = opening[0]
                detail = (
                    "Template sequences are not allowed in this string. To include a literal "
                    f'"{sign}", double it (as "{sign}{sign}") to escape it.'
                )
                self.fail("Invalid string literal", detail, found, found + 2)
        self.position = newline if newline >= 0 else self.end
        self.unterminated()

    def single_attribute(self) -> s.Body:
        """The content of a block that is written on one line."""
        start = self.position
        name = NAME.match(self.text, start)
        if name is None:
            self.fail(
                "Argument definition required", "A single-line block definition can contain only a single argument."
            )
        body = s.Body(start, start, {}, [])
        self.position = name.end()
        self.skip(False)
        if not self.at("="):
            detail = (
                "A single-line block definition can contain only a single argument. If you meant to define argument "
                f'"{name[0]}", use an equals sign to assign it a value. To define a nested block, place it on a line '
                "of its own within its parent block."
            )
            self.fail("Argument definition required", detail, start, token_end(self.text, self.position))
        self.attribute(body, start, name[0], name.end())
        self.skip(False)
        if not self.at("}"):
            self.unclosed_line()
        body.end = self.position
        return body

    def unclosed_line(self) -> NoReturn:
        if self.at(","):
            detail = (
                "Single-line block syntax can include only one argument definition. To define multiple arguments, use "
                "the multi-line block syntax with one argument definition per line."
            )
        elif self.at("\n") or self.at("\r"):
            detail = (
                "An argument definition on the same line as its containing block creates a single-line block "
                "definition, which must also be closed on the same line. Place the block's closing brace immediately "
                "after the argument definition."
            )
        else:
            detail = (
                "A single-line block definition must end with a closing brace immediately after its single argument "
                "definition."
            )
        self.fail("Invalid single-argument block definition", detail, None, token_end(self.text, self.position))
