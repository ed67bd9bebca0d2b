"""`operator scheduler get-config` and `set-config`."""

from __future__ import annotations

from typing import Any

import click

from raftnomad.cli.flags import command, connects, go_bool, option, switch
from raftnomad.cli.formatted import formatted, one_format
from raftnomad.cli.lookup import asked, raise_usage
from raftnomad.cli.output import key_values, out
from raftnomad.errors import RaftnomadError
from raftnomad.sdk.http import ApiClient

PATH = "/v1/operator/scheduler/configuration"
_QUERY_META = {"KnownLeader": True, "LastContact": 0, "LastIndex": 0, "NextToken": "", "RequestTime": 0}


@command("[options]")
@switch("json", "Output the configuration in its JSON format")
@option("t", "Format and display the configuration using a Go template", default=None, variable="template")
@connects
def get_configuration(api: ApiClient, json: bool, template: str | None) -> int:
    """Show the scheduler's settings."""
    one_format(json, template)
    answer = _read(api)
    if json or template:
        out(formatted({**_QUERY_META, "SchedulerConfig": answer["SchedulerConfig"]}, template))
        return 0
    configuration = answer["SchedulerConfig"]
    preemption = configuration["PreemptionConfig"]

    def word(value: bool) -> str:
        return str(bool(value)).lower()

    pairs = [
        ("Scheduler Algorithm", configuration["SchedulerAlgorithm"]),
        ("Memory Oversubscription", word(configuration["MemoryOversubscriptionEnabled"])),
        ("Reject Job Registration", word(configuration["RejectJobRegistration"])),
        ("Pause Eval Broker", word(configuration["PauseEvalBroker"])),
        ("Preemption System Scheduler", word(preemption["SystemSchedulerEnabled"])),
        ("Preemption Service Scheduler", word(preemption["ServiceSchedulerEnabled"])),
        ("Preemption Batch Scheduler", word(preemption["BatchSchedulerEnabled"])),
        ("Preemption SysBatch Scheduler", word(preemption["SysBatchSchedulerEnabled"])),
        ("Node Limit For Feasibility Checks", str(configuration.get("NodeLimitForFeasibilityChecks", 0))),
        ("Modify Index", str(configuration["ModifyIndex"])),
    ]
    out(key_values(pairs))
    return 0


def _read(api: ApiClient) -> dict[str, Any]:
    answer: dict[str, Any] = asked("Error querying scheduler configuration", lambda: api.get(PATH).json())
    return answer


_BOOLEANS = {
    "memory-oversubscription": "MemoryOversubscriptionEnabled",
    "reject-job-registration": "RejectJobRegistration",
    "pause-eval-broker": "PauseEvalBroker",
}
_PREEMPTIONS = {
    f"preempt-{kind.lower()}-scheduler": f"{kind}SchedulerEnabled"
    for kind in ("System", "Service", "Batch", "SysBatch")
}


@command("[options]")
@option("check-index", "Change the settings only if their modify index is this", type=int, default=None)
@option("scheduler-algorithm", "binpack or spread", default=None)
@option("memory-oversubscription", "true or false: whether tasks may use memory up to memory_max", default=None)
@option("reject-job-registration", "true or false: whether only management tokens may submit jobs", default=None)
@option("pause-eval-broker", "true or false: whether evaluations wait", default=None)
@option("preempt-system-scheduler", "true or false: whether system jobs preempt", default=None)
@option("preempt-service-scheduler", "true or false: whether service jobs preempt", default=None)
@option("preempt-batch-scheduler", "true or false: whether batch jobs preempt", default=None)
@option("preempt-sysbatch-scheduler", "true or false: whether sysbatch jobs preempt", default=None)
@option("node-limit-for-feasibility-checks", "How many nodes to look at; 0 is all", type=int, default=None)
@connects
@click.argument("arguments", nargs=-1)
def set_configuration(
    api: ApiClient,
    check_index: int | None,
    scheduler_algorithm: str | None,
    node_limit_for_feasibility_checks: int | None,
    arguments: tuple[str, ...],
    **switches: str | None,
) -> int:
    """Change the scheduler's settings; what no flag names stays as it is."""
    if arguments:
        raise_usage("This command takes no arguments")
    given = {name.replace("_", "-"): value for name, value in switches.items() if value is not None}
    truths = {name: go_bool(f"-{name}", value) for name, value in given.items()}
    configuration = _read(api)["SchedulerConfig"]
    if scheduler_algorithm is not None:
        configuration["SchedulerAlgorithm"] = scheduler_algorithm
    if node_limit_for_feasibility_checks is not None:
        configuration["NodeLimitForFeasibilityChecks"] = node_limit_for_feasibility_checks
    configuration |= {field: truths[name] for name, field in _BOOLEANS.items() if name in truths}
    configuration["PreemptionConfig"] |= {field: truths[name] for name, field in _PREEMPTIONS.items() if name in truths}
    failing = "Error setting scheduler configuration"
    if check_index is None:
        asked(failing, lambda: api.put(PATH, configuration))
    elif not asked(failing, lambda: api.put(PATH, configuration, {"cas": str(check_index)}).json())["Updated"]:
        raise RaftnomadError(
            f"Error performing check index set: check-index {check_index} does not match current state value "
            f"{configuration['ModifyIndex']}"
        )
    out("Scheduler configuration updated!")
    return 0
