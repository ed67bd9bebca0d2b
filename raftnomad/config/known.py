"""Nomad's keys that have nothing behind them here: accepted, and named in one warning."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HARMLESS = frozenset(("disable_update_check", "disable_anonymous_signature", "telemetry.disable_hostname"))
"""There is no update check, no signature and no host name in metrics to begin with: not worth a warning."""

WITHOUT_EFFECT: dict[str, frozenset[str]] = {
    "": _words(
        """plugin_dir log_include_location log_rotate_duration enable_debug enable_syslog syslog_facility
        disable_update_check disable_anonymous_signature ui sentinel autopilot audit reporting
        keyring vault consul eventlog rpc license_path"""
    ),
    "server": _words(
        """authoritative_region client_introduction data_dir raft_protocol raft_multiplier num_schedulers
        enabled_schedulers csi_plugin_gc_threshold csi_volume_claim_gc_threshold
        csi_volume_claim_gc_interval acl_token_gc_threshold root_key_gc_interval root_key_gc_threshold
        root_key_rotation_threshold failover_heartbeat_ttl rejoin_after_leave encrypt
        default_scheduler_config plan_rejection_tracker plan_apply_pipeline enable_event_broker
        event_buffer_size deploy_query_rate_limit raft_boltdb raft_logstore
        raft_snapshot_threshold raft_snapshot_interval raft_trailing_logs job_tracked_versions oidc_issuer
        start_timeout non_voting_server redundancy_zone upgrade_version license_path license_env"""
    ),
    "client": _words(
        """alloc_mounts_dir host_volumes_dir host_volume_plugin_dir common_plugin_dir chroot_env
        preferred_address_family network_speed disk_free_mb reservable_cores client_min_port
        client_max_port gc_parallel_destroys gc_volumes_on_node_gc no_host_uuid disable_remote_exec
        template cni_path cni_config_dir bridge_network_name bridge_network_subnet
        bridge_network_subnet_ipv6 bridge_network_hairpin_mode
        bind_wildcard_default_host_network cgroup_parent nomad_service_discovery artifact
        drain_on_shutdown users log_file fingerprint default_ineligible intro_token"""
    ),
    "acl": _words("token_ttl policy_ttl role_ttl replication_token token_min_expiration_ttl token_max_expiration_ttl"),
    "client.reserved": frozenset(("cores",)),
    "tls": _words("""rpc_upgrade_mode tls_cipher_suites tls_min_version tls_prefer_server_cipher_suites checksum"""),
    "telemetry": _words(
        """collection_interval disable_hostname use_node_name publish_allocation_metrics
        publish_node_metrics statsite_address statsd_address datadog_address datadog_tags prefix_filter
        filter_default disable_dispatched_job_summary_metrics disable_rpc_rate_metrics_labels
        include_alloc_metadata_in_metrics allowed_metadata_keys_in_metrics in_memory_collection_interval
        in_memory_retention_period circonus_api_token circonus_api_app circonus_api_url
        circonus_submission_interval circonus_submission_url circonus_check_id
        circonus_check_force_metric_activation circonus_check_instance_id circonus_check_search_tag
        circonus_check_display_name circonus_check_tags circonus_broker_id circonus_broker_select_tag
        disable_quota_utilization_metrics disable_allocation_hook_metrics"""
    ),
    "plugin.*": frozenset(("args", "enabled")),
    "client.host_volume.*": frozenset(),
    "client.host_network.*": frozenset(),
}
