"""The whole HTTP API on one page: method, path, who answers, what the caller needs.

What is captured by `{id}` may contain `/`; longer suffixes win. `*` stands for every other method of a path, where
Nomad does not say 405. Access is named and not yet checked: access control will only fill it in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from raftnomad.api import (
    agent,
    allocations,
    client_agents,
    deployments,
    evaluations,
    event_stream,
    job_checks,
    job_launches,
    job_statuses,
    job_tags,
    job_writes,
    jobs,
    namespaces,
    node_pools,
    nodes,
    operator,
    scaling,
    search,
    search_fuzzy,
    status,
    system,
)
from raftnomad.api.context import Context
from raftnomad.api.not_built import enterprise_only, no_license, not_built
from raftnomad.sdk.agent_protocol import PREFIX
from raftnomad.web import Answer, Request, Route

GET = ("GET",)
PUT = ("PUT", "POST")
PUT_ONLY = ("PUT",)
DELETE = ("DELETE",)
ANY = ("*",)

ContextHandler = Callable[[Context, Request], Awaitable[Answer]]

SERVER_ROUTES: tuple[tuple[tuple[str, ...], str, ContextHandler, str], ...] = (
    # Jobs
    (GET, "/v1/jobs", jobs.list_jobs, "namespace:list-jobs"),
    (PUT, "/v1/jobs", job_writes.register_job, "namespace:submit-job"),
    (("GET", "POST"), "/v1/jobs/statuses", job_statuses.job_statuses, "namespace:read-job"),
    (PUT, "/v1/jobs/parse", job_checks.parse_jobs, "namespace:parse-job"),
    (PUT, "/v1/validate/job", job_checks.validate_job, "namespace:read-job"),
    (GET, "/v1/job/{id}", jobs.read_job, "namespace:read-job"),
    (PUT, "/v1/job/{id}", job_writes.register_job, "namespace:submit-job"),
    (DELETE, "/v1/job/{id}", job_writes.deregister_job, "namespace:submit-job"),
    (PUT, "/v1/job/{id}/plan", job_checks.plan_job, "namespace:submit-job"),
    (PUT, "/v1/job/{id}/evaluate", job_writes.evaluate_job, "namespace:submit-job"),
    (PUT, "/v1/job/{id}/revert", job_writes.revert_job, "namespace:submit-job"),
    (PUT, "/v1/job/{id}/stable", job_writes.mark_job_stable, "namespace:submit-job"),
    (GET, "/v1/job/{id}/allocations", jobs.job_allocations, "namespace:read-job"),
    (GET, "/v1/job/{id}/evaluations", jobs.job_evaluations, "namespace:read-job"),
    (GET, "/v1/job/{id}/deployments", jobs.job_deployments, "namespace:read-job"),
    (GET, "/v1/job/{id}/deployment", jobs.job_latest_deployment, "namespace:read-job"),
    (ANY, "/v1/job/{id}/summary", jobs.job_summary, "namespace:read-job"),
    (ANY, "/v1/job/{id}/versions", jobs.job_versions, "namespace:read-job"),
    (GET, "/v1/job/{id}/submission", jobs.job_submission, "namespace:read-job"),
    (GET, "/v1/job/{id}/actions", jobs.job_actions, "namespace:read-job"),
    (PUT, "/v1/job/{id}/dispatch", job_launches.dispatch_job, "namespace:dispatch-job"),
    (PUT, "/v1/job/{id}/dispatch/payload", job_launches.dispatch_payload, "namespace:dispatch-job"),
    (PUT, "/v1/job/{id}/periodic/force", job_launches.force_periodic, "namespace:force-periodic-job"),
    (GET, "/v1/job/{id}/scale", jobs.job_scale_status, "namespace:read-job-scaling"),
    (PUT, "/v1/job/{id}/scale", scaling.scale_job, "namespace:scale-job"),
    (PUT, "/v1/job/{id}/versions/{name}/tag", job_tags.tag_version, "namespace:submit-job"),
    (DELETE, "/v1/job/{id}/versions/{name}/tag", job_tags.untag_version, "namespace:submit-job"),
    (GET, "/v1/scaling/policies", scaling.list_policies, "namespace:list-scaling-policies"),
    (GET, "/v1/scaling/policy/{id}", scaling.read_policy, "namespace:read-scaling-policy"),
    # Allocations, evaluations, deployments
    (GET, "/v1/allocations", allocations.list_allocations, "namespace:read-job"),
    (GET, "/v1/allocation/{id}", allocations.read_allocation, "namespace:read-job"),
    (PUT, "/v1/allocation/{id}/stop", allocations.stop_allocation, "namespace:alloc-lifecycle"),
    (GET, "/v1/allocation/{id}/services", allocations.allocation_services, "namespace:read-job"),
    (GET, "/v1/evaluations", evaluations.list_evaluations, "namespace:read-job"),
    (DELETE, "/v1/evaluations", evaluations.delete_evaluations, "management"),
    (GET, "/v1/evaluations/count", evaluations.count_evaluations, "namespace:read-job"),
    (GET, "/v1/evaluation/{id}", evaluations.read_evaluation, "namespace:read-job"),
    (GET, "/v1/evaluation/{id}/allocations", evaluations.evaluation_allocations, "namespace:read-job"),
    (GET, "/v1/deployments", deployments.list_deployments, "namespace:read-job"),
    (GET, "/v1/deployment/{id}", deployments.read_deployment, "namespace:read-job"),
    (GET, "/v1/deployment/allocations/{id}", deployments.deployment_allocations, "namespace:read-job"),
    (PUT, "/v1/deployment/fail/{id}", deployments.fail_deployment, "namespace:submit-job"),
    (PUT, "/v1/deployment/pause/{id}", deployments.pause_deployment, "namespace:submit-job"),
    (PUT, "/v1/deployment/promote/{id}", deployments.promote_deployment, "namespace:submit-job"),
    (PUT, "/v1/deployment/allocation-health/{id}", deployments.set_allocation_health, "namespace:submit-job"),
    (PUT, "/v1/deployment/unblock/{id}", deployments.unblock_deployment, "namespace:submit-job"),
    # Nodes, node pools, namespaces
    (GET, "/v1/nodes", nodes.list_nodes, "node:read"),
    (GET, "/v1/node/{id}", nodes.read_node, "node:read"),
    (GET, "/v1/node/{id}/allocations", nodes.node_allocations, "node:read"),
    (PUT, "/v1/node/{id}/evaluate", nodes.evaluate_node, "node:write"),
    (PUT, "/v1/node/{id}/drain", nodes.update_drain, "node:write"),
    (PUT, "/v1/node/{id}/eligibility", nodes.update_eligibility, "node:write"),
    (PUT, "/v1/node/{id}/purge", nodes.purge_node, "node:write"),
    (GET, "/v1/node/pools", node_pools.list_node_pools, "node-pool:read"),
    (PUT, "/v1/node/pools", node_pools.write_node_pool, "node-pool:write"),
    (GET, "/v1/node/pool/{name}", node_pools.read_node_pool, "node-pool:read"),
    (PUT, "/v1/node/pool/{name}", node_pools.write_node_pool, "node-pool:write"),
    (DELETE, "/v1/node/pool/{name}", node_pools.delete_node_pool, "node-pool:delete"),
    (GET, "/v1/node/pool/{name}/nodes", node_pools.node_pool_nodes, "node:read"),
    (GET, "/v1/node/pool/{name}/jobs", node_pools.node_pool_jobs, "namespace:list-jobs"),
    (GET, "/v1/namespaces", namespaces.list_namespaces, "any-token"),
    (PUT, "/v1/namespace", namespaces.write_namespace, "management"),
    (GET, "/v1/namespace/{name}", namespaces.read_namespace, "any-token"),
    (PUT, "/v1/namespace/{name}", namespaces.write_namespace, "management"),
    (DELETE, "/v1/namespace/{name}", namespaces.delete_namespace, "management"),
    # Search, events
    (PUT, "/v1/search", search.search_prefix, "any-token"),
    (PUT, "/v1/search/fuzzy", search_fuzzy.search_fuzzy, "any-token"),
    (GET, "/v1/event/stream", event_stream.event_stream, "any-token"),
    # The agent, the cluster, its operators
    (GET, "/v1/agent/self", agent.agent_self, "agent:read"),
    (GET, "/v1/agent/members", agent.members, "node:read"),
    (PUT, "/v1/agent/join", agent.join, "agent:write"),
    (PUT, "/v1/agent/force-leave", agent.force_leave, "agent:write"),
    (GET, "/v1/agent/servers", agent.servers, "agent:read"),
    (PUT, "/v1/agent/servers", agent.set_servers, "agent:write"),
    (GET, "/v1/agent/health", agent.health, "none"),
    (PUT, "/v1/agent/reload", agent.reload, "agent:write"),
    (GET, "/v1/agent/schedulers", agent.schedulers, "agent:read"),
    (GET, "/v1/agent/schedulers/config", agent.schedulers_configuration, "agent:read"),
    (GET, "/v1/status/leader", status.leader, "none"),
    (GET, "/v1/status/peers", status.peers, "none"),
    (GET, "/v1/regions", status.regions, "none"),
    (GET, "/v1/operator/raft/configuration", operator.raft_configuration, "management"),
    (ANY, "/v1/operator/raft/configuration", operator.no_other_method, "none"),
    (GET, "/v1/operator/upgrade-check/{name}", operator.upgrade_check, "operator:read"),
    (DELETE, "/v1/operator/raft/peer", operator.remove_peer, "management"),
    (ANY, "/v1/operator/raft/peer", operator.unknown_raft_route, "none"),
    (PUT, "/v1/operator/raft/transfer-leadership", operator.transfer_leadership, "management"),
    (ANY, "/v1/operator/raft/{rest}", operator.unknown_raft_route, "none"),
    (GET, "/v1/operator/scheduler/configuration", operator.read_scheduler_configuration, "operator:read"),
    (PUT, "/v1/operator/scheduler/configuration", operator.write_scheduler_configuration, "operator:write"),
    (PUT_ONLY, "/v1/system/gc", system.collect_garbage, "management"),
    (PUT_ONLY, "/v1/system/reconcile/summaries", system.reconcile_summaries, "management"),
    # What client agents ask
    (PUT, f"{PREFIX}/register", client_agents.register, "client-agent"),
    (PUT, f"{PREFIX}/heartbeat", client_agents.heartbeat, "client-agent"),
    (GET, f"{PREFIX}/allocations", client_agents.allocations, "client-agent"),
    (PUT, f"{PREFIX}/fetch", client_agents.fetch, "client-agent"),
    (PUT, f"{PREFIX}/report", client_agents.report, "client-agent"),
)

NOT_BUILT: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (GET, "/v1/job/{id}/services", "service discovery"),
    (GET, "/v1/agent/host", "host data"),
    (GET, "/v1/agent/pprof/{name}", "profiles"),
    (PUT, "/v1/agent/schedulers/config", "changing the number of schedulers"),
    (ANY, "/v1/agent/keyring/{operation}", "gossip keys: certificates protect the serf port instead"),
    (ANY, "/v1/operator/autopilot/configuration", "autopilot"),
    (ANY, "/v1/operator/autopilot/health", "autopilot"),
    (("GET", *PUT), "/v1/operator/snapshot", "snapshots over HTTP"),
    (GET, "/v1/operator/keyring/keys", "encryption keys"),
    (PUT, "/v1/operator/keyring/rotate", "encryption keys"),
    (DELETE, "/v1/operator/keyring/key/{id}", "encryption keys"),
    (GET, "/.well-known/jwks.json", "workload identities"),
    (GET, "/.well-known/openid-configuration", "workload identities"),
    (GET, "/v1/vars", "variables"),
    (("GET", *PUT, *DELETE), "/v1/var/{path}", "variables"),
    (GET, "/v1/services", "service discovery"),
    (GET, "/v1/service/{name}", "service discovery"),
    (DELETE, "/v1/service/{name}/{id}", "service discovery"),
    (("GET", *PUT), "/v1/volumes", "volumes"),
    (ANY, "/v1/volume/{rest}", "volumes"),
    (ANY, "/v1/volumes/{rest}", "volumes"),
    (GET, "/v1/plugins", "storage plugins"),
    (GET, "/v1/plugin/csi/{id}", "storage plugins"),
    (ANY, "/v1/acl/{rest}", "access control"),
)

ENTERPRISE = (
    "/v1/sentinel/policies",
    "/v1/sentinel/policy/{name}",
    "/v1/quotas",
    "/v1/quota-usages",
    "/v1/quota/{name}",
    "/v1/quota",
    "/v1/recommendation",
    "/v1/recommendations",
    "/v1/recommendations/apply",
    "/v1/recommendation/{id}",
)


def server_routes(context: Context) -> Iterator[Route]:
    for methods, pattern, handler, access in SERVER_ROUTES:
        yield Route(methods, pattern, partial(handler, context), access)


def other_routes() -> Iterator[Route]:
    """What every agent answers itself, as no server can do better."""
    for methods, pattern, what in NOT_BUILT:
        yield Route(methods, pattern, not_built(what), "none")
    for pattern in ENTERPRISE:
        yield Route(ANY, pattern, enterprise_only, "none")
    yield Route(("POST",), "/v1/operator/utilization", enterprise_only, "none")
    yield Route(PUT_ONLY, "/v1/operator/license", enterprise_only, "none")
    yield Route(GET, "/v1/operator/license", no_license, "none")
