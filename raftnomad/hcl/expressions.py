"""Reading expressions: operators by their precedence, terms, and what may follow a term.

`lines` says whether newlines are blanks, as they are inside of parentheses and brackets.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NoReturn

from raftnomad.hcl import syntax as s
from raftnomad.hcl.diagnostics import Diagnostic, HclError, Source
from raftnomad.hcl.lexical import BINARY_OPERATOR, BLANK_LINES, BLANKS, NAME, NUMBER, token_end
from raftnomad.hcl.numbers import Number, parse_number

DEPTH_MAX = 120
"""How deep expressions and blocks may nest; deeper files are refused instead of exhausting the stack."""

_PRECEDENCE = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    ">": 4,
    "<=": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_OPERATOR_STARTS = frozenset("|&=!<>+-*/%")
_BLANK_STARTS = frozenset(" \t\n\r#/")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_UNFINISHED = (
    "There is no corresponding closing {0} before the end of the file. This may be caused by incorrect {0} nesting "
    "elsewhere in this file."
)


class ExpressionParser(ABC):
    """A place in a text, and the rules of expressions from there on."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.position = 0
        self.end = len(source.text)
        self.depth = 0

    @abstractmethod
    def quoted(self) -> s.Expression: ...

    @abstractmethod
    def heredoc(self) -> s.Expression: ...

    def fail(self, summary: str, detail: str, start: int | None = None, end: int | None = None) -> NoReturn:
        """Refuses the token at `start`, by default the one at the present position."""
        raise self.error(summary, detail, start, end)

    def error(self, summary: str, detail: str, start: int | None = None, end: int | None = None) -> HclError:
        first = self.position if start is None else start
        last = token_end(self.text, first) if end is None else end
        return HclError((Diagnostic(summary=summary, detail=detail, source=self.source, start=first, end=last),))

    def skip(self, lines: bool) -> None:
        if self.text[self.position : self.position + 1] in _BLANK_STARTS:
            blanks = BLANK_LINES if lines else BLANKS
            found = blanks.match(self.text, self.position)
            if found:
                self.position = found.end()

    def at(self, token: str | tuple[str, ...]) -> bool:
        return self.text.startswith(token, self.position)

    def descend(self) -> None:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise self.too_deep()

    def too_deep(self) -> HclError:
        return self.error("Nested too deeply", f"Blocks and expressions may nest at most {DEPTH_MAX} deep.")

    def expression(self, lines: bool) -> s.Expression:
        condition = self.binary(1, lines)
        if self.text[self.position : self.position + 1] in (",)]}" if lines else "\n\r,)]}"):
            return condition
        before = self.position
        self.skip(lines)
        if not self.at("?"):
            self.position = before
            return condition
        self.position += 1
        self.descend()
        self.skip(lines)
        yes = self.expression(lines)
        self.skip(lines)
        if not self.at(":"):
            self.fail(
                "Missing false expression in conditional",
                "The conditional operator (...?...:...) requires a false expression, delimited by a colon.",
            )
        self.position += 1
        self.skip(lines)
        no = self.expression(lines)
        self.depth -= 1
        return s.Conditional(condition.start, no.end, condition, yes, no)

    def binary(self, lowest: int, lines: bool) -> s.Expression:
        left = self.term(lines)
        text = self.text
        while True:
            here = self.position
            if text[here : here + 1] in ",)]}":
                return left
            blanks = (BLANK_LINES if lines else BLANKS).match(text, here)
            if blanks:
                here = blanks.end()
            if text[here : here + 1] not in _OPERATOR_STARTS:
                return left
            found = BINARY_OPERATOR.match(text, here)
            if found is None or _PRECEDENCE[found[0]] < lowest:
                return left
            self.position = found.end()
            self.skip(lines)
            right = self.binary(_PRECEDENCE[found[0]] + 1, lines)
            left = s.Binary(left.start, right.end, found[0], left, right)

    def term(self, lines: bool) -> s.Expression:
        text, start = self.text, self.position
        first = text[start : start + 1]
        expression: s.Expression
        if first == '"':
            expression = self.quoted()
        elif first == "[":
            expression = self.bracketed(self.tuple_constructor)
        elif first == "{":
            expression = self.bracketed(self.object_constructor)
        elif first in "-!" and first:
            return self.unary(first, lines)
        elif first == "(":
            expression = self.bracketed(self.parentheses)
        else:
            name = NAME.match(text, start)
            if name:
                expression = self.named(name[0], name.end())
            else:
                expression = self.number_or_heredoc()
        following = text[self.position : self.position + 1]
        if following in "\n,)]}":
            return expression
        return self.trailers(expression, lines)

    def bracketed(self, rule: Callable[[], s.Expression]) -> s.Expression:
        self.descend()
        expression = rule()
        self.depth -= 1
        return expression

    def unary(self, operator: str, lines: bool) -> s.Unary:
        start = self.position
        self.descend()
        self.position += 1
        self.skip(lines)
        operand = self.term(lines)
        self.depth -= 1
        return s.Unary(start, operand.end, operator, operand)

    def number_or_heredoc(self) -> s.Expression:
        start = self.position
        number = NUMBER.match(self.text, start)
        if number:
            self.position = number.end()
            return s.Literal(start, number.end(), self.number(number[0], start))
        if self.at("<<"):
            return self.heredoc()
        raise self.error(
            "Invalid expression", "Expected the start of an expression, but found an invalid expression token."
        )

    def number(self, text: str, start: int) -> Number:
        try:
            return parse_number(text)
        except ValueError:
            self.fail("Invalid number literal", "Failed to recognize the value of this number literal.", start)

    def named(self, name: str, end: int) -> s.Expression:
        start = self.position
        while self.text.startswith("::", end):
            part = NAME.match(self.text, end + 2)
            if part is None:
                self.fail(
                    "Missing function name",
                    "Function scope resolution symbol (::) must be followed by a function name in this scope.",
                    end + 2,
                )
            end = part.end()
            name = self.text[start:end]
        self.position = end
        if self.at("("):
            return self.bracketed(lambda: self.call(name, start, end))
        if name in _WORDS:
            return s.Literal(start, end, _WORDS[name])
        return s.Traversal(start, end, name, end, ())

    def parentheses(self) -> s.Parentheses:
        start = self.position
        self.position += 1
        self.skip(True)
        inner = self.expression(True)
        self.skip(True)
        if not self.at(")"):
            self.fail("Unbalanced parentheses", "Expected a closing parenthesis to terminate the expression.")
        self.position += 1
        return s.Parentheses(start, self.position, inner)

    def call(self, name: str, start: int, name_end: int) -> s.Call:
        self.position = name_end + 1
        arguments: list[s.Expression] = []
        expands = False
        while True:
            self.skip(True)
            if self.at(")"):
                break
            arguments.append(self.expression(True))
            self.skip(True)
            if self.at("..."):
                expands = True
                dots = self.position
                self.position += 3
                self.skip(True)
                if not self.at(")"):
                    self.fail(
                        "Missing closing parenthesis",
                        "An expanded function argument (with ...) must be immediately followed by closing parentheses.",
                        dots,
                    )
            elif self.at(","):
                self.position += 1
            elif self.position >= self.end:
                detail = (
                    "There is no closing parenthesis for this function call before the end of the file. This may be "
                    "caused by incorrect parenthesis nesting elsewhere in this file."
                )
                self.fail("Unterminated function call", detail, start, name_end + 1)
            elif not self.at(")"):
                self.fail(
                    "Missing argument separator",
                    "A comma is required to separate each function argument from the next.",
                )
        self.position += 1
        return s.Call(start, self.position, name, name_end, tuple(arguments), expands)

    def tuple_constructor(self) -> s.Expression:
        text, start = self.text, self.position
        self.position += 1
        self.skip(True)
        if self.at_for():
            return self.for_expression(start, "]")
        items: list[s.Expression] = []
        while True:
            self.skip(True)
            if text.startswith("]", self.position):
                break
            items.append(self.expression(True))
            self.skip(True)
            if text.startswith(",", self.position):
                self.position += 1
            elif self.position >= self.end:
                self.fail("Unterminated tuple constructor expression", _UNFINISHED.format("bracket"), start)
            elif not text.startswith("]", self.position):
                self.fail("Missing item separator", "Expected a comma to mark the beginning of the next item.")
        self.position += 1
        return s.Tuple(start, self.position, tuple(items))

    def object_constructor(self) -> s.Expression:
        start = self.position
        self.position += 1
        self.skip(True)
        if self.at_for():
            return self.for_expression(start, "}")
        items: list[tuple[s.Expression, s.Expression]] = []
        while True:
            self.skip(True)
            if self.at("}"):
                break
            if self.position >= self.end:
                self.fail("Unterminated object constructor expression", _UNFINISHED.format("brace"), start)
            key = self.object_key()
            self.position += 1
            self.skip(False)
            items.append((key, self.expression(False)))
            self.skip(False)
            if self.at(","):
                self.position += 1
            elif self.position >= self.end:
                self.fail("Unterminated object constructor expression", _UNFINISHED.format("brace"), start)
            elif not self.at(("\n", "\r\n", "}")):
                self.fail(
                    "Missing attribute separator",
                    "Expected a newline or comma to mark the beginning of the next attribute.",
                )
        self.position += 1
        return s.Object(start, self.position, tuple(items))

    def object_key(self) -> s.Expression:
        key = self.expression(False)
        if isinstance(key, s.Traversal) and not key.steps:
            key = s.ObjectKey(key.start, key.end, key.root)
        elif isinstance(key, s.Literal) and self.text[key.start : key.end] in _WORDS:
            key = s.ObjectKey(key.start, key.end, self.text[key.start : key.end])
        self.skip(False)
        if (self.at("=") and not self.at("==")) or self.at(":"):
            return key
        if self.at(("\n", "\r\n", ",")):
            self.fail("Missing attribute value", 'Expected an attribute value, introduced by an equals sign ("=").')
        raise self.error(
            "Missing key/value separator",
            'Expected an equals sign ("=") to mark the beginning of the attribute value.',
        )

    def at_for(self) -> bool:
        name = NAME.match(self.text, self.position)
        return name is not None and name[0] == "for"

    def for_expression(self, start: int, closing: str) -> s.For:
        self.position += 3
        key_name, value_name = self.loop_names("expression")
        collection = self.expression(True)
        self.skip(True)
        if not self.at(":"):
            self.bad_for("For expression requires a colon after the collection expression.")
        self.position += 1
        self.skip(True)
        value = self.expression(True)
        key: s.Expression | None = None
        self.skip(True)
        if self.at("=>"):
            if closing == "]":
                detail = "Key expression is not valid when building a tuple."
                self.fail("Invalid 'for' expression", detail, value.start, value.end)
            self.position += 2
            self.skip(True)
            key, value = value, self.expression(True)
            self.skip(True)
        elif closing == "}":
            detail = "Key expression is required when building an object."
            self.fail("Invalid 'for' expression", detail, value.start, value.end)
        grouped = self.at("...")
        if grouped:
            if closing == "]":
                self.bad_for("Grouping ellipsis (...) cannot be used when building a tuple.")
            self.position += 3
            self.skip(True)
        condition = self.for_condition()
        if not self.at(closing):
            self.bad_for("Extra characters after the end of the 'for' expression.")
        self.position += 1
        return s.For(start, self.position, key_name, value_name, collection, key, value, condition, grouped)

    def for_condition(self) -> s.Expression | None:
        word = NAME.match(self.text, self.position)
        if word is None or word[0] != "if":
            return None
        self.position = word.end()
        self.skip(True)
        condition = self.expression(True)
        self.skip(True)
        return condition

    def loop_names(self, what: str) -> tuple[str | None, str]:
        """`v in` or `k, v in` after the word `for`; `what` is "expression" or "directive"."""
        summary = f"Invalid 'for' {what}"
        subject = f"For {what}"
        self.skip(True)
        first = NAME.match(self.text, self.position)
        if first is None:
            self.fail(summary, f"{subject} requires variable name after 'for'.")
        self.position = first.end()
        self.skip(True)
        names: tuple[str | None, str] = (None, first[0])
        if self.at(","):
            self.position += 1
            self.skip(True)
            second = NAME.match(self.text, self.position)
            if second is None:
                self.fail(summary, f"{subject} requires value variable name after comma.")
            self.position = second.end()
            self.skip(True)
            names = (first[0], second[0])
        word = NAME.match(self.text, self.position)
        if word is None or word[0] != "in":
            wanted = (
                "the 'in' keyword after its name declarations" if what == "expression" else "'in' keyword after names"
            )
            self.fail(summary, f"{subject} requires {wanted}.")
        self.position = word.end()
        self.skip(True)
        return names

    def bad_for(self, detail: str) -> NoReturn:
        self.fail("Invalid 'for' expression", detail)

    def trailers(self, expression: s.Expression, lines: bool) -> s.Expression:
        """Attributes, indexes and splats that follow a term."""
        text = self.text
        while True:
            before = self.position
            following = text[before : before + 1]
            if following in ",)]}":
                return expression
            if following in _BLANK_STARTS:
                self.skip(lines)
                following = text[self.position : self.position + 1]
            if following == "." and not text.startswith("...", self.position):
                self.position += 1
                self.skip(lines)
                expression = self.after_dot(expression, lines)
            elif following == "[":
                expression = self.indexed(expression, lines)
            else:
                self.position = before
                return expression

    def after_dot(self, source: s.Expression, lines: bool) -> s.Expression:
        dot = self.text.rfind(".", 0, self.position)
        if self.at("*"):
            self.position += 1
            marker_end = self.position
            each = self.splat_steps(s.SplatItem(dot, marker_end), lines, indexes=False)
            return s.Splat(source.start, self.position, source, each, dot, marker_end)
        return stepped(source, self.attribute_step(dot))

    def attribute_step(self, dot: int) -> s.Step:
        name = NAME.match(self.text, self.position)
        if name:
            self.position = name.end()
            return s.AttributeStep(dot, name.end(), name[0])
        digits = NUMBER.match(self.text, self.position)
        if digits:
            whole = digits[0].partition(".")[0]
            self.position += len(whole)
            return s.IndexStep(dot, self.position, self.number(whole, dot + 1))
        raise self.error("Invalid attribute name", "An attribute name is required after a dot.")

    def splat_steps(self, each: s.Expression, lines: bool, indexes: bool) -> s.Expression:
        while True:
            if self.at(".") and not self.at((".*", "...")):
                self.position += 1
                each = stepped(each, self.attribute_step(self.position - 1))
            elif indexes and self.at("["):
                each = self.indexed(each, lines)
            else:
                return each

    def indexed(self, source: s.Expression, lines: bool) -> s.Expression:
        self.descend()
        expression = self.after_bracket(source, lines)
        self.depth -= 1
        return expression

    def after_bracket(self, source: s.Expression, lines: bool) -> s.Expression:
        start = self.position
        self.position += 1
        self.skip(True)
        if self.at("*"):
            star = self.position
            self.position += 1
            self.skip(True)
            if not self.at("]"):
                self.fail(
                    "Missing close bracket on splat index",
                    'The star for a full splat operator must be immediately followed by a closing bracket ("]").',
                )
            self.position += 1
            marker_end = self.position
            each = self.splat_steps(s.SplatItem(star, marker_end), lines, indexes=True)
            return s.Splat(source.start, self.position, source, each, start, marker_end)
        key = self.expression(True)
        self.skip(True)
        if not self.at("]"):
            self.fail("Missing close bracket on index", 'The index operator must end with a closing bracket ("]").')
        self.position += 1
        if isinstance(key, s.Text | s.Literal):
            return stepped(source, s.IndexStep(start, self.position, key.value))
        return s.Index(source.start, self.position, source, key, start)


def stepped(source: s.Expression, step: s.Step) -> s.Expression:
    """The expression one step further."""
    if isinstance(source, s.Traversal):
        return s.Traversal(source.start, step.end, source.root, source.root_end, (*source.steps, step))
    if isinstance(source, s.RelativeTraversal):
        return s.RelativeTraversal(source.start, step.end, source.source, (*source.steps, step))
    return s.RelativeTraversal(source.start, step.end, source, (step,))


def normalized(text: str) -> str:
    """Texts are compared and counted in Unicode's composed form."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
