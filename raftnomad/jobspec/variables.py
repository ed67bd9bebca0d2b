"""The variables of a job file: what it declares, what it is given, and the rules that values must keep.

A value comes from, the strongest first: a flag, a variable file, the environment (`NOMAD_VAR_name`), the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from raftnomad.hcl import syntax as s
from raftnomad.hcl.calls import Function
from raftnomad.hcl.diagnostics import Diagnostic, HclError, Source, place
from raftnomad.hcl.evaluator import Scope, evaluate
from raftnomad.hcl.json_syntax import json_values
from raftnomad.hcl.parser import parse, parse_expression
from raftnomad.hcl.references import references
from raftnomad.hcl.types import read_type
from raftnomad.hcl.values import (
    ConversionError,
    Type,
    Unknown,
    Value,
    convert,
    is_known,
    to_bool,
    to_string,
    type_of,
)
from raftnomad.jobspec.attributes import read
from raftnomad.jobspec.blocks import check_labels, check_names, found_block, missing_argument
from raftnomad.jobspec.schema import Kind

ENVIRONMENT_PREFIX = "NOMAD_VAR_"
_NAME = re.compile(r"[^\W\d][\w-]*")
_UNSET = (
    "A used variable must be set or have a default value; see "
    "https://developer.hashicorp.com/nomad/docs/reference/hcl2/variables  for details."
)
_PLACELESS = Source("", "")


class Rule(msgspec.Struct):
    """A validation block."""

    condition: s.Expression
    message: str
    start: int
    end: int


class Variable(msgspec.Struct):
    """A declared variable; `type` is "dynamic" where neither a type nor a default says one."""

    name: str
    type: Type
    rules: list[Rule]
    value: Value = None
    is_set: bool = False
    set_by: str = "default"
    source: Source = _PLACELESS
    start: int = 0
    end: int = 0

    def give(self, value: Value, set_by: str, source: Source, start: int, end: int) -> None:
        self.value, self.set_by, self.is_set = value, set_by, True
        self.source, self.start, self.end = source, start, end

    def give_up(self) -> None:
        """Keeps quiet about a variable whose value was already complained about."""
        self.is_set, self.rules = True, []


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What comes from outside: flags as `name=value`, files as name and text. Strict refuses undeclared names."""

    flags: Sequence[str] = ()
    files: Sequence[tuple[str, str]] = ()
    environment: Mapping[str, str] = {}
    strict: bool = True


def declare(body: s.Body, source: Source, diagnostics: list[Diagnostic]) -> dict[str, Variable]:
    """Every variable of a job file."""
    scope = Scope(source=source, variables=None, functions={}, diagnostics=diagnostics)
    declared: dict[str, Variable] = {}
    for block in body.blocks:
        if block.type == "variable":
            _declare_one(block, declared, scope)
        elif block.type == "variables":
            _declare_all(block, declared, scope)
    return declared


def _declare_one(block: s.Block, declared: dict[str, Variable], scope: Scope) -> None:
    found = found_block(block, scope)
    if not check_labels(found, "name"):
        return
    label = block.labels[0]
    if not _NAME.fullmatch(label.text):
        detail = (
            "A name must start with a letter or underscore and may contain only letters, digits, underscores, and "
            "dashes."
        )
        scope.report("Invalid variable name", detail, label.start, label.end)
        return
    if label.text in declared:
        scope.diagnostics.append(_duplicate(label.text))
        return
    known = ("description", "default", "type")
    check_names(block.body, [found_block(b, scope) for b in block.body.blocks], known, ("validation",), scope)
    variable = Variable(label.text, "dynamic", [])
    declared[label.text] = variable
    attributes = block.body.attributes
    if "description" in attributes:
        read(attributes["description"].value, Kind.TEXT, True, scope)
    wanted = read_type(attributes["type"].value, scope) if "type" in attributes else None
    if "default" in attributes:
        _default(variable, attributes["default"], wanted, scope)
    elif wanted is not None:
        variable.type = wanted
    for inner in block.body.blocks:
        if inner.type == "validation":
            _declare_rule(inner, variable, scope)


def _duplicate(name: str) -> Diagnostic:
    return Diagnostic(summary="Duplicate variable", detail=f"Duplicate {name} variable definition found.")


def _default(variable: Variable, attribute: s.Attribute, wanted: Type | None, scope: Scope) -> None:
    before = len(scope.diagnostics)
    value = constant(attribute.value, scope)
    if len(scope.diagnostics) > before:
        variable.is_set = True
        return
    start, end = attribute.value.start, attribute.value.end
    if wanted is not None:
        try:
            value = convert(value, wanted)
        except ConversionError as error:
            detail = f"This default value is not compatible with the variable's type constraint: {error}."
            scope.report("Invalid default value for variable", detail, start, end)
            value = None
    variable.type = wanted if wanted is not None else type_of(value)
    variable.give(value, "default", scope.source, start, end)


def _declare_rule(block: s.Block, variable: Variable, scope: Scope) -> None:
    attributes = block.body.attributes
    found = found_block(block, scope)
    for name in ("condition", "error_message"):
        if name not in attributes:
            missing_argument(name, block.open, scope)
    check_names(
        block.body, [found_block(b, scope) for b in block.body.blocks], ("condition", "error_message"), (), scope
    )
    message = ""
    if "error_message" in attributes:
        message = _message(attributes["error_message"], scope)
    if "condition" not in attributes:
        detail = "validation requires a condition."
        scope.report("Invalid variable validation specification", detail, block.start, found.type_end)
        return
    condition = attributes["condition"].value
    _check_references(variable.name, condition, scope)
    variable.rules.append(Rule(condition, message, block.start, found.type_end))


def _message(attribute: s.Attribute, scope: Scope) -> str:
    value = constant(attribute.value, scope)
    if isinstance(value, Unknown):
        start, end = s.start_range(attribute.value)
        scope.report("Unsuitable value type", "Unsuitable value: value must be known", start, end)
        return ""
    text = value if isinstance(value, str) else to_string(value)
    if not text.strip():
        detail = "An empty or blank string is not a valid nor useful error message."
        scope.report("Invalid validation error message", detail, attribute.value.start, attribute.value.end)
    return text


def _check_references(name: str, condition: s.Expression, scope: Scope) -> None:
    uses_it = False
    for reference in references(condition):
        first = reference.steps[0] if reference.steps else None
        if reference.root == "var" and isinstance(first, s.AttributeStep) and first.name == name:
            uses_it = True
            continue
        detail = f'The condition for variable "{name}" can only refer to the variable itself, using var.{name}.'
        end = first.end if first is not None else reference.root_end
        scope.report("Invalid reference in variable validation", detail, reference.start, end)
        uses_it = True
    if not uses_it:
        detail = f'The condition for variable "{name}" must refer to var.{name} in order to test incoming values.'
        scope.report("Invalid variable validation condition", detail, condition.start, condition.end)


def _declare_all(block: s.Block, declared: dict[str, Variable], scope: Scope) -> None:
    """The `variables` block: names with their defaults."""
    if not check_labels(found_block(block, scope), None):
        return
    no_blocks(block.body, scope)
    for name, attribute in block.body.attributes.items():
        if name in declared:
            duplicate = _duplicate(name)
            scope.report(duplicate.summary, duplicate.detail, attribute.start, attribute.start + len(name))
            continue
        declared[name] = Variable(name, "dynamic", [])
        _default(declared[name], attribute, None, scope)


def no_blocks(body: s.Body, scope: Scope) -> None:
    for block in body.blocks:
        summary = f'Unexpected "{block.type}" block'
        scope.report(summary, "Blocks are not allowed here.", block.start, block.start + len(block.type))


def constant(expression: s.Expression, scope: Scope) -> Value:
    """The value of an expression in which neither names nor functions may stand."""
    return evaluate(expression, msgspec.structs.replace(scope, variables=None, functions=None))


def set_values(declared: dict[str, Variable], given: Given, diagnostics: list[Diagnostic]) -> None:
    """Gives the variables the values that come from outside."""
    for name, text in given.environment.items():
        variable = declared.get(name.removeprefix(ENVIRONMENT_PREFIX))
        if name.startswith(ENVIRONMENT_PREFIX) and variable is not None:
            _set_text(variable, text, "env", diagnostics)
    for file_name, text in given.files:
        _set_from_file(declared, Source(file_name, text), given.strict, diagnostics)
    for flag in given.flags:
        name, sign, text = flag.partition("=")
        if name in declared and sign:
            _set_text(declared[name], text, "cmd", diagnostics)
        elif sign and given.strict:
            detail = (
                f'A "{name}" variable was passed in the command line but was not found in known variables. To declare '
                f'variable "{name}", place this block in your job file'
            )
            diagnostics.append(Diagnostic(summary="Undefined -var variable", detail=detail))


def _set_text(variable: Variable, text: str, set_by: str, diagnostics: list[Diagnostic]) -> None:
    """A value from a flag or the environment: the text itself for a text or a number, otherwise an expression."""
    where = {"cmd": "arguments", "env": "env"}[set_by]
    source = Source(f"<value for var.{variable.name} from {where}>", text)
    value: Value = text
    start = end = 0
    if variable.type in ("string", "number") or (variable.type == "dynamic" and not variable.is_set):
        source = _PLACELESS
    else:
        written = _expression_value(source, diagnostics)
        if written is None:
            variable.give_up()
            return
        value, start, end = written
    try:
        value = convert(value, variable.type)
    except ConversionError as error:
        if set_by == "cmd":
            summary = "Invalid argument value for -var variable"
            of = f"The received arg value for {variable.name}"
        else:
            summary, of = "Invalid value for variable", f"The value for {variable.name}"
        detail = f"{of} is not compatible with the variable's type constraint: {error}."
        diagnostics.append(Diagnostic(summary=summary, detail=detail, source=source, start=start, end=end))
        variable.give_up()
        return
    variable.give(value, set_by, source, start, end)


def _expression_value(source: Source, diagnostics: list[Diagnostic]) -> tuple[Value, int, int] | None:
    try:
        expression = parse_expression(source)
    except HclError as error:
        diagnostics.extend(_missing_expression(error))
        return None
    scope = Scope(source=source, variables=None, functions=None, diagnostics=diagnostics)
    before = len(diagnostics)
    value = evaluate(expression, scope)
    if len(diagnostics) > before or not is_known(value):
        return None
    return value, expression.start, expression.end


def _missing_expression(error: HclError) -> tuple[Diagnostic, ...]:
    """A text that ends where an expression should begin is told as such."""
    last = error.diagnostics[-1]
    if last.source is None or last.summary != "Invalid expression" or last.start < len(last.source.text):
        return error.diagnostics
    detail = "Expected the start of an expression, but found the end of the file."
    return (msgspec.structs.replace(last, summary="Missing expression", detail=detail),)


def _set_from_file(declared: dict[str, Variable], source: Source, strict: bool, diagnostics: list[Diagnostic]) -> None:
    """A file of `name = value`; raises HclError where the file itself cannot be read."""
    body = read_values(source)
    scope = Scope(source=source, variables=None, functions=None, diagnostics=diagnostics)
    for block in body.blocks:
        if block.type == "variable" and block.labels:
            detail = (
                "A .var file is used to assign values to variables that have already been declared in job files, not "
                f'to declare new variables. To declare variable "{block.labels[0].text}", place this block in one of '
                "your job files\n\nTo set a value for this variable in "
                f"{source.name}, use the definition syntax instead:\n    {block.labels[0].text} = <value>"
            )
            summary = "Variable declaration in a .var file"
            scope.report(summary, detail, block.start, block.start + len(block.type))
            return
    no_blocks(body, scope)
    for name, attribute in body.attributes.items():
        variable = declared.get(name)
        if variable is not None:
            _set_attribute(variable, attribute, scope)
        elif strict:
            detail = (
                f'A "{name}" variable was set but was not found in known variables. To declare variable "{name}", '
                "place this block in your job files"
            )
            diagnostics.append(Diagnostic(summary="Undefined variable", detail=detail))


def read_values(source: Source) -> s.Body:
    if source.text.lstrip().startswith("{"):
        return json_values(source)
    return parse(source)


def _set_attribute(variable: Variable, attribute: s.Attribute, scope: Scope) -> None:
    before = len(scope.diagnostics)
    value = evaluate(attribute.value, scope)
    if len(scope.diagnostics) > before:
        variable.give_up()
        return
    start, end = attribute.value.start, attribute.value.end
    try:
        value = convert(value, variable.type)
    except ConversionError as error:
        detail = f"The value for {variable.name} is not compatible with the variable's type constraint: {error}."
        scope.report("Invalid value for variable", detail, start, end)
        variable.give_up()
        return
    variable.give(value, "varfile", scope.source, start, end)


def check_values(
    declared: dict[str, Variable], source: Source, functions: Mapping[str, Function], diagnostics: list[Diagnostic]
) -> dict[str, Value]:
    """The values by name, after every variable was found to be set and to keep its rules."""
    for variable in declared.values():
        if not variable.is_set:
            diagnostics.append(Diagnostic(summary=f'Unset variable "{variable.name}"', detail=_UNSET))
            continue
        for rule in variable.rules:
            _check_rule(variable, rule, source, functions, diagnostics)
    return {name: variable.value for name, variable in declared.items()}


def _check_rule(
    variable: Variable,
    rule: Rule,
    source: Source,
    functions: Mapping[str, Function],
    diagnostics: list[Diagnostic],
) -> None:
    scope = Scope(
        source=source,
        variables={"var": {variable.name: variable.value}},
        functions=functions,
        diagnostics=diagnostics,
        keeps_unknown=False,
    )
    kept = evaluate(rule.condition, scope)
    start, end = rule.condition.start, rule.condition.end
    if isinstance(kept, Unknown):
        return
    if kept is None:
        detail = "Validation condition expression must return either true or false, not null."
        scope.report("Invalid variable validation result", detail, start, end)
        return
    try:
        if to_bool(kept):
            return
    except ConversionError as error:
        detail = f"Invalid validation condition result value: {error}."
        scope.report("Invalid variable validation result", detail, start, end)
        return
    where = f"{source.name}:{place(source, rule.start, rule.end)}"
    detail = f"{rule.message}\n\nThis was checked by the validation rule at {where}."
    summary = f"Invalid value for {variable.set_by} variable"
    at = (variable.start, variable.end)
    diagnostics.append(Diagnostic(summary=summary, detail=detail, source=variable.source, start=at[0], end=at[1]))


def locals_of(body: s.Body, scope: Scope) -> dict[str, Value]:
    """The values of all `locals`, each after those that it needs, whatever their order in the file."""
    waiting: dict[str, s.Attribute] = {}
    for block in body.blocks:
        if block.type == "locals" and check_labels(found_block(block, scope), None):
            no_blocks(block.body, scope)
            waiting.update(block.body.attributes)
    values: dict[str, Value] = {}
    while waiting:
        failed: dict[str, s.Attribute] = {}
        last: list[Diagnostic] = []
        for name, attribute in waiting.items():
            attempt = scope.with_names({"local": values}).apart()
            value = evaluate(attribute.value, attempt)
            if attempt.diagnostics:
                failed[name], last = attribute, attempt.diagnostics
            else:
                values[name] = value
        if len(failed) == len(waiting):
            scope.diagnostics.extend(last)
            break
        waiting = failed
    return values
