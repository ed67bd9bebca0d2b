"""A job file as a whole: its variables, its locals, and the one job in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raftnomad.errors import JobFileError
from raftnomad.hcl import syntax as s
from raftnomad.hcl.calls import Function
from raftnomad.hcl.diagnostics import Diagnostic, HclError, Source
from raftnomad.hcl.evaluator import Scope
from raftnomad.hcl.parser import parse
from raftnomad.jobspec.blocks import Found, check_labels, check_names, found_block
from raftnomad.jobspec.decode import fields_of
from raftnomad.jobspec.json_form import json_body
from raftnomad.jobspec.schema import spec_of
from raftnomad.jobspec.shorthands import job_of
from raftnomad.jobspec.variables import Given, Variable, check_values, declare, locals_of, set_values
from raftnomad.model import submitted

_TOP_LEVEL = ("variable", "variables", "locals", "job")


def read_job(
    source: Source, given: Given, functions: Mapping[str, Function], rule_functions: Mapping[str, Function]
) -> submitted.Job:
    """The job of a file; raises JobFileError with all that is wrong.

    The functions of validation rules are given apart, since those may not look at files.
    """
    try:
        body, found = _read(source)
        job_block = _the_job(body, source, found)
        _stop_at(found)
        declared = declare(body, source, found)
        _give(declared, given, found)
        values = check_values(declared, source, rule_functions, found)
        _stop_at(found)
    except HclError as error:
        raise syntax_error(error.diagnostics) from None
    scope = Scope(source=source, variables={"var": values, "local": {}}, functions=functions, diagnostics=found)
    scope = scope.with_names({"local": locals_of(body, scope)})
    _stop_at(found)
    assert job_block is not None
    fields = fields_of(found_block(job_block, scope), spec_of(submitted.Job))
    _stop_at(found)
    return job_of(job_block.labels[0].text, fields)


def _give(declared: dict[str, Variable], given: Given, found: list[Diagnostic]) -> None:
    try:
        set_values(declared, given, found)
    except HclError as error:
        raise syntax_error(error.diagnostics, "unable to parse var file: ") from None


def syntax_error(diagnostics: tuple[Diagnostic, ...], before: str = "") -> JobFileError:
    """Only the first mistake in the syntax is told, since the others often follow from it."""
    others = len(diagnostics) - 1
    more = f", and {others} other diagnostic(s)" if others else ""
    return JobFileError(f"{before}{diagnostics[0]}{more}", diagnostics)


def _stop_at(found: list[Diagnostic]) -> None:
    if found:
        raise JobFileError("\n".join(map(str, found)), tuple(found))


def _read(source: Source) -> tuple[s.Body, list[Diagnostic]]:
    found: list[Diagnostic] = []
    # Only blanks may precede the brace: a file that begins with an empty line counts as HCL, as it does for Nomad.
    if source.text.lstrip(" \t").startswith("{"):
        return json_body(source, found), found
    return parse(source), found


def _the_job(body: s.Body, source: Source, found: list[Diagnostic]) -> s.Block | None:
    scope = Scope(source=source, variables=None, functions=None, diagnostics=found)
    blocks = [found_block(block, scope) for block in body.blocks]
    check_names(body, blocks, (), _TOP_LEVEL, scope)
    jobs = [block for block in body.blocks if block.type == "job"]
    if not jobs and not found:
        found.append(Diagnostic(summary="Missing job block", detail="A job block is required"))
    _only_one([found_block(job, scope) for job in jobs])
    if not jobs or not check_labels(found_block(jobs[0], scope), "name"):
        return None
    return jobs[0]


def _only_one(jobs: Sequence[Found]) -> None:
    for other in jobs[1:]:
        first = jobs[0]
        detail = f'Only one block of type "job" is allowed. Previous definition was at {first.where()}.'
        other.scope.report("Duplicate job block", detail, other.start, other.header_end)
