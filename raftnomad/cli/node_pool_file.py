"""Node pool files, in HCL2: strict, and their mistakes are told with their places."""

from __future__ import annotations

from typing import Any

from raftnomad.errors import JobFileError, RaftnomadError
from raftnomad.hcl.diagnostics import Diagnostic, HclError, Source
from raftnomad.hcl.evaluator import Scope
from raftnomad.hcl.parser import parse
from raftnomad.jobspec.blocks import Found
from raftnomad.jobspec.decode import fields_of
from raftnomad.jobspec.job_file import syntax_error
from raftnomad.jobspec.schema import Form, Nested, Spec
from raftnomad.model.row import Row

FAILED = "Failed to parse input content"


class _Scheduler(Row, frozen=True, kw_only=True):
    scheduler_algorithm: str = ""
    memory_oversubscription_enabled: bool | None = None


class _Pool(Row, frozen=True, kw_only=True):
    name: str = ""
    description: str = ""
    meta: dict[str, str] | None = None
    node_identity_ttl: str = ""
    scheduler_config: _Scheduler | None = None


class _File(Row, frozen=True, kw_only=True):
    node_pool: _Pool | None = None


_SPEC = Spec(_File, {}, {"node_pool": Nested("node_pool", Form.SINGLE, _Pool, "name", "name")}, ())


def parse_node_pool(text: str, file_name: str) -> dict[str, Any]:
    """The pool as the API takes it; raises RaftnomadError."""
    source = Source(file_name, text)
    wrong: list[Diagnostic] = []
    scope = Scope(source=source, variables=None, functions=None, diagnostics=wrong)
    try:
        fields = fields_of(Found("", (), parse(source), scope, 0, 0, 0, 0), _SPEC)
    except HclError as error:
        raise RaftnomadError(f"{FAILED}: {syntax_error(error.diagnostics)}") from error
    except JobFileError as error:
        raise RaftnomadError(f"{FAILED}: {error}") from error
    if wrong:
        raise RaftnomadError(f"{FAILED}: " + "\n".join(map(str, wrong)))
    pool: _Pool | None = fields.get("node_pool")
    if pool is None:
        raise RaftnomadError("Error applying node pool: missing node pool")
    values: dict[str, Any] = {"Name": pool.name, "Description": pool.description, "Meta": pool.meta}
    if pool.node_identity_ttl:
        values["NodeIdentityTTL"] = pool.node_identity_ttl
    if scheduler := pool.scheduler_config:
        values["SchedulerConfiguration"] = {
            "SchedulerAlgorithm": scheduler.scheduler_algorithm,
            "MemoryOversubscriptionEnabled": scheduler.memory_oversubscription_enabled,
        }
    return values
