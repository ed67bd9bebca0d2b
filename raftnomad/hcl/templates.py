"""Reading texts: quoted ones and heredocs, their escapes, interpolations and directives.

A text first becomes a flat list of pieces; strip markers and a heredoc's indentation are worked on in that list, then
the directives in it are paired and nested.
"""

from __future__ import annotations

import re
from typing import NoReturn

from raftnomad.hcl import syntax as s
from raftnomad.hcl.diagnostics import place
from raftnomad.hcl.expressions import ExpressionParser, normalized
from raftnomad.hcl.lexical import HEREDOC, NAME, multi_line_string

_PLAIN = re.compile(r'"([^"\\$%\n]*)"')
_QUOTED_PIECE = re.compile(r'(?:[^"\\$%\n]|\$\$\{|%%\{|\$(?!\{)|%(?!\{)|\\[\s\S])+')
_HEREDOC_PIECE = re.compile(r"(?:[^$%\n]|\$\$\{|%%\{|\$(?!\{)|%(?!\{))*\n|(?:[^$%\n]|\$\$\{|%%\{|\$(?!\{)|%(?!\{))+")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)|\$\$\{|%%\{", re.S)
_SIMPLE_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
_UNBALANCED = "The control directives within this template are unbalanced."


class _Piece:
    """A part of a text before nesting: literal text, an interpolation, or a directive by its keyword."""

    __slots__ = ("end", "expression", "kind", "names", "start", "strips_left", "strips_right", "text")

    def __init__(self, kind: str, start: int, end: int) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.text = ""
        self.expression: s.Expression | None = None
        self.names: tuple[str | None, str] = (None, "")
        self.strips_left = False
        self.strips_right = False


class TemplateParser(ExpressionParser):
    def quoted(self) -> s.Expression:
        start = self.position
        plain = _PLAIN.match(self.text, start)
        if plain:
            self.position = end = plain.end()
            return s.Text(start, end, normalized(plain[1]), start + 1, end - 1)
        self.position += 1
        self.descend()
        pieces = self.pieces(quoted=True)
        self.depth -= 1
        if not self.at('"'):
            self.unterminated()
        self.position += 1
        return self.template(start, self.position, pieces, (start + 1, self.position - 1))

    def unterminated(self) -> NoReturn:
        if self.position >= self.end:
            self.fail("Unterminated template string", "No closing marker was found for the string.")
        newline = multi_line_string(self.source, self.position, self.position + 1)
        self.fail(newline.summary, newline.detail)

    def heredoc(self) -> s.Expression:
        start = self.position
        opening = HEREDOC.match(self.text, start)
        if opening is None:
            self.fail(
                "Invalid expression",
                "Expected the start of an expression, but found an invalid expression token.",
                start,
                start + 1,
            )
        closing = re.compile(rf"^[ \t]*{re.escape(opening[2])}[ \t]*\r?$", re.M).search(self.text, opening.end())
        if closing is None:
            self.fail("Unterminated template string", "No closing marker was found for the string.", self.end, self.end)
        inside, inside_end = opening.end(), closing.start()
        content = self.text[inside:inside_end]
        flush = bool(opening[1])
        end = closing.end() - self.text[: closing.end()].endswith("\r")
        if "${" not in content and "%{" not in content:
            self.position = end
            text = unindented(content) if flush else content
            first_line = self.text.find("\n", inside) + 1
            return s.Text(start, end, normalized(text), inside, min(first_line, inside_end))
        whole, self.end, self.position = self.end, inside_end, inside
        self.descend()
        pieces = self.pieces(quoted=False)
        self.depth -= 1
        self.end, self.position = whole, end
        if flush:
            unindent(pieces)
        return self.template(start, end, pieces, None)

    def pieces(self, quoted: bool) -> list[_Piece]:
        """All pieces up to the closing quote or the end, with what strip markers take already taken."""
        text, pattern = self.text, _QUOTED_PIECE if quoted else _HEREDOC_PIECE
        pieces: list[_Piece] = []
        while self.position < self.end and not (quoted and text.startswith('"', self.position)):
            start = self.position
            if text.startswith("${", start):
                piece = self.interpolation()
            elif text.startswith("%{", start):
                piece = self.directive()
            else:
                found = pattern.match(text, start, self.end)
                if found is None:
                    self.unterminated()
                piece = _Piece("text", start, found.end())
                piece.text = self.unescaped(found[0], start) if quoted else _unescaped_heredoc(found[0])
                self.position = found.end()
            if pieces and piece.strips_left and pieces[-1].kind == "text":
                pieces[-1].text = pieces[-1].text.rstrip()
            if pieces and pieces[-1].strips_right and piece.kind == "text":
                piece.text = piece.text.lstrip()
            pieces.append(piece)
        return pieces

    def unescaped(self, text: str, start: int) -> str:
        if "\\" not in text and "$${" not in text and "%%{" not in text:
            return text
        return _ESCAPE.sub(lambda found: self.escape(found, start), text)

    def escape(self, found: re.Match[str], start: int) -> str:
        sequence = found[0]
        if sequence in ("$${", "%%{"):
            return sequence[1:]
        selector = found[1]
        if len(selector) > 1:
            return chr(int(selector[1:], 16))
        if selector in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[selector]
        here = start + found.start()
        if selector in "uU":
            count = {"u": "four", "U": "eight"}[selector]
            digits = re.compile(r"\\[uU][0-9a-fA-F]*").match(self.text, here)
            assert digits is not None
            detail = f"The \\{selector} escape sequence must be followed by {count} hexadecimal digits."
            self.fail("Invalid escape sequence", detail, here, digits.end())
        detail = f'The symbol "{selector}" is not a valid escape sequence selector.'
        raise self.error("Invalid escape sequence", detail, here, here + 2)

    def interpolation(self) -> _Piece:
        start = self.position
        self.position += 2
        piece = _Piece("interpolation", start, start)
        piece.strips_left = self.strip_marker()
        self.skip(True)
        inner = self.expression(True)
        self.close(
            piece,
            "Extra characters after interpolation expression",
            "Expected a closing brace to end the interpolation expression, but found extra characters.\n\nThis can "
            "happen when you include interpolation syntax for another language, such as shell scripting, but forget to "
            "escape the interpolation start token. If this is an embedded sequence for another language, escape it by "
            'starting with "$${" instead of just "${".',
        )
        verbatim = not (piece.strips_left or piece.strips_right)
        piece.expression = s.Interpolation(start, piece.end, inner, verbatim)
        return piece

    def directive(self) -> _Piece:
        start = self.position
        self.position += 2
        strips = self.strip_marker()
        self.skip(True)
        keyword = NAME.match(self.text, self.position)
        if keyword is None:
            self.fail(
                "Invalid template directive",
                'A template directive keyword ("if", "for", etc) is expected at the beginning of a %{ sequence.',
            )
        if keyword[0] not in ("if", "else", "endif", "for", "endfor"):
            detail = f'"{keyword[0]}" is not a valid template control keyword.'
            self.fail("Invalid template control keyword", detail)
        self.position = keyword.end()
        piece = _Piece(keyword[0], start, start)
        piece.strips_left = strips
        self.skip(True)
        if keyword[0] == "if":
            piece.expression = self.expression(True)
        elif keyword[0] == "for":
            piece.names = self.loop_names("directive")
            piece.expression = self.expression(True)
        self.close(
            piece,
            f"Extra characters in {keyword[0]} marker",
            f'Expected a closing brace to end the "{keyword[0]}" marker, but found extra characters.',
        )
        return piece

    def strip_marker(self) -> bool:
        found = self.at("~")
        self.position += found
        return found

    def close(self, piece: _Piece, summary: str, detail: str) -> None:
        self.skip(True)
        piece.strips_right = self.strip_marker()
        if not self.at("}"):
            self.fail(summary, detail)
        self.position += 1
        piece.end = self.position

    def template(self, start: int, end: int, pieces: list[_Piece], inside: tuple[int, int] | None) -> s.Expression:
        if not pieces:
            return s.Text(start, end, "", end, end)
        if inside and len(pieces) == 1:
            only = pieces[0]
            if only.kind == "text":
                return s.Text(start, end, normalized(only.text), *inside)
            if isinstance(only.expression, s.Interpolation):
                return s.TemplateWrap(start, end, only.expression)
        parts, rest = self.nest(pieces, 0, None)
        assert rest == len(pieces)
        return s.Template(start, end, parts)

    def nest(self, pieces: list[_Piece], index: int, opened: _Piece | None) -> tuple[tuple[s.Expression, ...], int]:
        """The parts up to the directive that ends what `opened` began; that directive's index with them."""
        parts: list[s.Expression] = []
        while index < len(pieces):
            piece = pieces[index]
            if piece.kind == "text":
                parts.append(s.Literal(piece.start, piece.end, normalized(piece.text)))
            elif isinstance(piece.expression, s.Interpolation):
                parts.append(piece.expression)
            elif piece.kind == "if":
                conditional, index = self.nest_if(pieces, index)
                parts.append(conditional)
            elif piece.kind == "for":
                body, closing = self.nest(pieces, index + 1, piece)
                parts.append(_loop(piece, body, pieces[closing]))
                index = closing
            elif opened is not None and piece.kind in _ends(opened.kind):
                return tuple(parts), index
            else:
                self.unexpected(piece, opened)
            index += 1
        if opened is not None:
            self.unfinished(opened)
        return tuple(parts), index

    def nest_if(self, pieces: list[_Piece], index: int) -> tuple[s.Conditional, int]:
        opening = pieces[index]
        yes, closing = self.nest(pieces, index + 1, opening)
        no: tuple[s.Expression, ...] = ()
        if pieces[closing].kind == "else":
            otherwise = pieces[closing]
            otherwise.expression, otherwise.text = opening.expression, place(self.source, opening.start, opening.end)
            no, closing = self.nest(pieces, closing + 1, otherwise)
        end = pieces[closing].end
        assert opening.expression is not None
        yes_text = s.Template(opening.end, end, yes)
        return s.Conditional(opening.start, end, opening.expression, yes_text, s.Template(end, end, no)), closing

    def unexpected(self, piece: _Piece, opened: _Piece | None) -> NoReturn:
        summary = f"Unexpected {piece.kind} directive"
        if opened is None:
            self.fail(summary, _UNBALANCED, piece.start, piece.end)
        where = f"{self.source.name}:{place(self.source, opened.start, opened.end)}"
        if opened.kind == "else" and piece.kind == "else":
            detail = f"Already in the else clause for the if started at {self.source.name}:{opened.text}."
        else:
            begun = "if" if opened.kind == "else" else opened.kind
            detail = f"Expecting an end{begun} directive corresponding to the {begun} directive at {where}."
        self.fail(summary, detail, piece.start, piece.end)

    def unfinished(self, opened: _Piece) -> NoReturn:
        begun = "if" if opened.kind == "else" else opened.kind
        where = opened.text if opened.kind == "else" else place(self.source, opened.start, opened.end)
        detail = (
            f"The {begun} directive at {self.source.name}:{where} is missing its corresponding end{begun} directive."
        )
        self.fail("Unexpected end of template", detail, self.position - 1, self.position)


def _ends(kind: str) -> tuple[str, ...]:
    return {"if": ("else", "endif"), "else": ("endif",), "for": ("endfor",)}[kind]


def _loop(opening: _Piece, body: tuple[s.Expression, ...], closing: _Piece) -> s.TemplateJoin:
    assert opening.expression is not None
    key_name, value_name = opening.names
    each = s.Template(opening.end, closing.start, body)
    loop = s.For(opening.start, opening.end, key_name, value_name, opening.expression, None, each, None, False)
    return s.TemplateJoin(opening.start, opening.end, loop)


def _unescaped_heredoc(text: str) -> str:
    return text.replace("$${", "${").replace("%%{", "%{")


def unindented(text: str) -> str:
    """A `<<-` heredoc without the indentation that all its lines share; blank lines do not count."""
    lines = text.splitlines(keepends=True) if "\r" not in text else re.findall(r"[^\n]*\n|[^\n]+", text)
    shared = min((_indentation(line) for line in lines if line.strip() or not line.endswith("\n")), default=0)
    return "".join(line[shared:] if line.strip() or not line.endswith("\n") else line for line in lines)


def unindent(pieces: list[_Piece]) -> None:
    """The same for a heredoc in pieces; a line that begins with an interpolation has no indentation."""
    begins: list[_Piece] = []
    at_line_start = True
    shared: int | None = None
    for piece in pieces:
        blank_line = piece.kind == "text" and not piece.text.strip() and piece.text.endswith("\n")
        if at_line_start and not blank_line:
            depth = _indentation(piece.text) if piece.kind == "text" else 0
            shared = depth if shared is None else min(shared, depth)
            if piece.kind == "text":
                begins.append(piece)
        at_line_start = piece.kind == "text" and piece.text.endswith("\n")
    for piece in begins:
        piece.text = piece.text[shared or 0 :]
        piece.start += shared or 0


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())
