"""The words of the language: what a blank, a name and a number look like, and which characters are none of it.

The parser reads text directly and never makes a list of tokens; whole tokens matter only to messages.
"""

from __future__ import annotations

import re

from raftnomad.hcl.diagnostics import Diagnostic, Source

BLANKS = re.compile(r"(?:[ \t]+|\r(?=\n)|(?:#|//)[^\n]*|/\*[\s\S]*?\*/)*")
BLANK_LINES = re.compile(r"(?:[ \t\n]+|\r(?=\n)|(?:#|//)[^\n]*|/\*[\s\S]*?\*/)*")
NAME = re.compile(r"[^\W\d_][\w-]*|_[\w-]*(?<=[\w-])")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
HEREDOC = re.compile(r"<<(-?)([^\W\d][\w-]*)[ \t]*\r?\n")
BINARY_OPERATOR = re.compile(r"\|\||&&|==|!=|<=|>=|<(?!<)|>|\+|-|\*|/(?![/*])|%(?!\{)")
_TOKEN = re.compile(r"\r?\n|\.\.\.|::|=>|\|\||&&|==|!=|<=|>=|\*\*|[^\W\d][\w-]*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")

_CURLY = "“”„‟"
_LEXEME = re.compile(
    r"[ \t\n]+|\r\n|(?:#|//)[^\n]*|/\*[\s\S]*?\*/|[^\W\d][\w-]*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
    r"|&&|\|\||[-+*/%=!<>?:.,()\[\]]"
)


def token_end(text: str, start: int) -> int:
    """Where the token that begins at `start` ends; a newline is a token, the end of the file an empty one."""
    heredoc = HEREDOC.match(text, start)
    if heredoc:
        return heredoc.end()
    token = _TOKEN.match(text, start)
    return token.end() if token else min(start + 1, len(text))


def invalid_characters(source: Source) -> list[Diagnostic]:
    """Everything in a file that can be no part of any token, in the order of the file."""
    return _Scan(source).run()


class _Scan:
    """Reads a file as nested modes: outside of texts braces nest, inside of texts `${` opens such a nest."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.found: list[Diagnostic] = []
        self.modes: list[str] = ["{"]

    def run(self) -> list[Diagnostic]:
        position = 0
        while position < len(self.source.text):
            position = self._text(position) if self.modes[-1] == '"' else self._plain(position)
        return self.found

    def _plain(self, position: int) -> int:
        text = self.source.text
        heredoc = HEREDOC.match(text, position)
        if heredoc:
            closing = re.compile(rf"^[ \t]*{re.escape(heredoc.group(2))}[ \t]*\r?$", re.M).search(text, heredoc.end())
            return closing.end() if closing else len(text)
        lexeme = _LEXEME.match(text, position)
        if lexeme:
            return lexeme.end()
        character = text[position]
        if character == '"':
            self.modes.append('"')
        elif character == "{":
            self.modes.append("{")
        elif character == "}":
            if len(self.modes) > 1:
                self.modes.pop()
        else:
            self._refuse(position, character)
        return position + 1

    def _text(self, position: int) -> int:
        text = self.source.text
        if text[position] == "\\":
            return position + 2
        if text[position] == '"':
            self.modes.pop()
        elif text.startswith(("$${", "%%{"), position):
            return position + 3
        elif text.startswith(("${", "%{"), position):
            self.modes.append("{")
            return position + 2
        elif text[position] == "\n" or text.startswith("\r\n", position):
            end = text.index("\n", position) + 1
            self.found.append(multi_line_string(self.source, position, end))
            return end
        return position + 1

    def _refuse(self, position: int, character: str) -> None:
        summary, detail = _complaint(character)
        alike = [diagnostic for diagnostic in self.found if diagnostic.detail == detail]
        if alike and character in "&|'`;":
            return
        self.found.append(
            Diagnostic(summary=summary, detail=detail, source=self.source, start=position, end=position + 1)
        )


def multi_line_string(source: Source, start: int, end: int) -> Diagnostic:
    detail = (
        "Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \\n "
        'escape to represent a newline character or use the "heredoc" multi-line template syntax.'
    )
    return Diagnostic(summary="Invalid multi-line string", detail=detail, source=source, start=start, end=end)


def _complaint(character: str) -> tuple[str, str]:
    if character == "&":
        return "Unsupported operator", 'Bitwise operators are not supported. Did you mean boolean AND ("&&")?'
    if character == "|":
        return "Unsupported operator", 'Bitwise operators are not supported. Did you mean boolean OR ("||")?'
    if character == "~":
        return "Unsupported operator", 'Bitwise operators are not supported. Did you mean boolean NOT ("!")?'
    if character == "^":
        return "Unsupported operator", "Bitwise operators are not supported."
    if character == ";":
        return "Invalid character", (
            'The ";" character is not valid. Use newlines to separate arguments and blocks, and commas to separate '
            "items in collection values."
        )
    if character == "'":
        return "Invalid character", 'Single quotes are not valid. Use double quotes (") to enclose strings.'
    if character == "`":
        return "Invalid character", (
            'The "`" character is not valid. To create a multi-line string, use the "heredoc" syntax, like "<<EOT".'
        )
    if character in _CURLY:
        return "Invalid character", (
            '"Curly quotes" are not valid here. These can sometimes be inadvertently introduced when sharing code via '
            'documents or discussion forums. It might help to replace the character with a "straight quote".'
        )
    return "Invalid character", "This character is not used within the language."
