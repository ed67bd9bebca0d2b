"""What lists show of a row: short, so that a list of thousands is."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from raftnomad.api.answers import OMITTED
from raftnomad.model.allocation import Allocation, AllocListStub
from raftnomad.model.evaluation import Evaluation, EvaluationStub
from raftnomad.model.job import Job, JobListStub, JobSummary
from raftnomad.model.node import Node, NodeListStub
from raftnomad.model.row import Row


def node_stub(row: Node, *, resources: bool = False, os: bool = False) -> NodeListStub:
    attributes = row.attributes or {}
    return NodeListStub(
        **_shared(row, NodeListStub, "attributes", "node_resources", "reserved_resources"),
        address=row.http_addr.rpartition(":")[0].strip("[]"),
        attributes={"os.name": attributes.get("os.name", "")} if os else OMITTED,
        version=attributes.get("nomad.version", ""),
        drain=row.drain_strategy is not None,
        node_resources=row.node_resources if resources else OMITTED,
        reserved_resources=row.reserved_resources if resources else OMITTED,
    )


def allocation_stub(row: Allocation, *, resources: bool = False, task_states: bool = True) -> AllocListStub:
    assert row.job is not None, f"allocation {row.id} has no job"
    return AllocListStub(
        **_shared(row, AllocListStub, "allocated_resources", "task_states"),
        job_type=row.job.type,
        job_version=row.job.version,
        allocated_resources=row.allocated_resources if resources else OMITTED,
        task_states=row.task_states if task_states else None,
    )


def job_stub(row: Job, summary: JobSummary | None, *, meta: bool = False) -> JobListStub:
    return JobListStub(
        **_shared(row, JobListStub, "meta", "periodic", "parameterized_job"),
        periodic=row.periodic is not None,
        parameterized_job=row.parameterized_job is not None and not row.dispatched,
        job_summary=summary,
        meta=row.meta if meta and row.meta else OMITTED,
    )


def evaluation_stub(row: Evaluation) -> EvaluationStub:
    return EvaluationStub(**_shared(row, EvaluationStub))


def _shared(row: Row, stub_type: type[Row], *but: str) -> dict[str, Any]:
    """The fields that a row and its stub have in common."""
    return {name: getattr(row, name) for name in _shared_names(type(row), stub_type) if name not in but}


@cache
def _shared_names(row_type: type[Row], stub_type: type[Row]) -> tuple[str, ...]:
    own = {field.name for field in msgspec.structs.fields(row_type)}
    return tuple(name for name in stub_type.__struct_fields__ if name in own)
