from pathlib import Path

import pytest

from raftnomad.drivers.docker.capabilities import capability_lists
from raftnomad.drivers.docker.config import config_problems, container_body
from raftnomad.drivers.docker.image import parse_image
from raftnomad.drivers.docker.settings import DEFAULT_CAPS, Settings, parse_settings
from raftnomad.drivers.driver import DriverError, Port, Task
from raftnomad.errors import ConfigurationError


def a_task(config: dict | None = None, **changes) -> Task:
    facts = {
        "id": "A/web",
        "alloc_id": "A",
        "name": "web",
        "job_id": "shop",
        "namespace": "default",
        "config": {"image": "box:1"} | (config or {}),
        "env": {"B": "2", "A": "1", "NOMAD_JOB_NAME": "Shop", "NOMAD_GROUP_NAME": "front"},
        "task_dir": Path("/allocs/A/web"),
        "alloc_dir": Path("/allocs/A/alloc"),
        "log_dir": Path("/allocs/A/alloc/logs"),
        "cpu_shares": 20,
        "memory_mb": 20,
    }
    return Task(**facts | changes)


def body_of(config: dict | None = None, settings: dict | None = None, **changes) -> dict:
    return container_body(a_task(config, **changes), parse_settings(settings or {}), "sha256:0", 1)


def test_a_plain_container_looks_as_nomads():
    body = body_of({"command": "/bin/sh", "args": ["-c", "true"]})
    host = body["HostConfig"]
    assert body["Cmd"] == ["/bin/sh", "-c", "true"]
    assert "Entrypoint" not in body
    assert body["Env"][:2] == ["A=1", "B=2"]
    assert body["Labels"] == {"com.hashicorp.nomad.alloc_id": "A"}
    assert host["Binds"] == [
        "/allocs/A/alloc:/alloc",
        "/allocs/A/web/local:/local",
        "/allocs/A/web/secrets:/secrets",
        "/allocs/A/alloc/logs:/alloc/logs:ro",
    ]
    assert (host["Memory"], host["MemorySwap"], host["MemorySwappiness"]) == (20 << 20, 20 << 20, 0)
    assert "MemoryReservation" not in host
    assert host["CpuShares"] == 20
    assert (host["CapAdd"], host["CapDrop"]) == (None, ["CAP_NET_RAW"])
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "2", "max-size": "2m"}}
    assert host["NetworkMode"] == "default"


def test_extra_labels_are_those_that_the_agent_asks_for():
    settings = {"extra_labels": ["job_*", "task_group_name", "node_name"]}
    labels = body_of({"labels": [{"mine": "x"}]}, settings, labels={"node_name": "n1", "node_id": "N"})["Labels"]
    assert labels == {
        "mine": "x",
        "com.hashicorp.nomad.alloc_id": "A",
        "com.hashicorp.nomad.job_id": "shop",
        "com.hashicorp.nomad.job_name": "Shop",
        "com.hashicorp.nomad.task_group_name": "front",
        "com.hashicorp.nomad.node_name": "n1",
    }


def test_a_hard_limit_makes_the_rest_a_reservation():
    host = body_of({"memory_hard_limit": 64})["HostConfig"]
    assert (host["Memory"], host["MemoryReservation"]) == (64 << 20, 20 << 20)
    host = body_of(memory_max_mb=40)["HostConfig"]
    assert (host["Memory"], host["MemoryReservation"]) == (40 << 20, 20 << 20)


def test_ports_are_published_for_both_protocols():
    ports = (
        Port(label="http", host_ip="127.0.0.1", value=18511, to=8080),
        Port(label="dyn", host_ip="127.0.0.1", value=21603, to=0),
    )
    body = body_of({"ports": ["http", "dyn"]}, ports=ports)
    assert sorted(body["ExposedPorts"]) == ["21603/tcp", "21603/udp", "8080/tcp", "8080/udp"]
    assert body["HostConfig"]["PortBindings"]["8080/udp"] == [{"HostIp": "127.0.0.1", "HostPort": "18511"}]


def test_volumes_of_an_agent_that_allows_them():
    settings = {"volumes": [{"enabled": True}]}
    volumes = ["/etc:/host-etc:ro", "local/data:/data", "named:/named", "/a:/b:c:d"]
    assert body_of({"volumes": volumes}, settings)["HostConfig"]["Binds"][4:] == [
        "/etc:/host-etc:ro",
        "/allocs/A/web/local/data:/data",
        "/allocs/A/web/named:/named",
        "/a:/b:c",
    ]


def test_mounts_of_each_type():
    config = {
        "mount": [
            {"type": "bind", "source": "local", "target": "/b", "readonly": True},
            {"type": "tmpfs", "target": "/t", "tmpfs_options": [{"size": 100000}]},
            {"type": "volume", "source": "v", "target": "/v", "volume_options": [{"no_copy": True}]},
        ]
    }
    assert body_of(config, {"volumes": [{"enabled": True}]})["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Target": "/b", "ReadOnly": True, "Source": "/allocs/A/web/local"},
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 100000}},
        {
            "Type": "volume",
            "Target": "/v",
            "Source": "v",
            "VolumeOptions": {"NoCopy": True, "DriverConfig": {}},
        },
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"privileged": True}, "Docker privileged mode is disabled on this Nomad agent"),
        (
            {"cap_add": ["SYS_ADMIN", "NET_ADMIN"]},
            "driver does not allow the following capabilities: net_admin, sys_admin",
        ),
        ({"cap_add": ["nonsense"]}, "driver does not allow the following capabilities: nonsense"),
        (
            {"volumes": ["/etc:/host-etc:ro"]},
            'volumes are not enabled; cannot mount host path: "/etc:/host-etc:ro"',
        ),
        ({"volumes": ["nonsense"]}, 'invalid docker volume "nonsense": not <src>:<destination> format'),
        (
            {"mount": [{"type": "bind", "source": "/etc", "target": "/x"}]},
            'volumes are not enabled; cannot mount host path: "/etc"',
        ),
        (
            {"mount": [{"type": "bind", "source": "../../../etc", "target": "/x"}]},
            'volumes are not enabled; cannot mount host path: "/etc"',
        ),
        (
            {"mount": [{"type": "magic", "target": "/x"}]},
            'invalid mount type, must be "bind", "volume", "tmpfs": "magic"',
        ),
        (
            {"volume_driver": "x", "volumes": ["v:/x"]},
            'volumes are not enabled; cannot use volume driver "x"',
        ),
        ({"ports": ["http"]}, 'Port "http" not found, check network block'),
        ({"port_map": [{"http": 80}]}, "'port_map' cannot map group network ports, use 'ports' instead"),
        ({"pid_mode": "host"}, 'cannot apply "pid_mode" configuration'),
        ({"ipc_mode": "host"}, 'cannot apply "ipc_mode" configuration'),
        ({"uts_mode": "host"}, 'cannot apply "uts_mode" configuration'),
        ({"userns_mode": "host"}, 'cannot apply "userns_mode" configuration'),
        ({"runtime": "crazy"}, 'requested runtime "crazy" is not allowed'),
        (
            {"isolation": "hyperv"},
            'Failed to create container configuration, cannot use isolation mode "hyperv" on linux',
        ),
        (
            {"ulimit": [{"nofile": "a:b"}]},
            "failed to parse ulimit configuration: Malformed soft ulimit nofile: a:b",
        ),
        (
            {"ulimit": [{"nofile": ""}]},
            'failed to parse ulimit configuration: Malformed ulimit specification nofile: "", cannot be empty',
        ),
        ({"mac_address": "zz"}, 'failed to parse mac_address "zz": address zz: invalid MAC address'),
        (
            {"security_opt": ["seccomp"]},
            'failed to parse security_opt configuration: invalid security_opt: "seccomp"',
        ),
        (
            {"security_opt": ["seccomp=/no/such/file"]},
            "failed to parse security_opt configuration: opening seccomp profile (/no/such/file) failed: "
            "open /no/such/file: no such file or directory",
        ),
        ({"cpu_cfs_period": 5}, "invalid value for cpu_cfs_period"),
        ({"memory_hard_limit": 1}, "task memory requirements exceed driver hard limit of 1 MB"),
        ({"command": " /bin/true "}, 'command contains extra white space: " /bin/true "'),
        ({"advertise_ipv6_address": True}, "docker's advertise_ipv6_address is not built yet"),
    ],
)
def test_what_is_refused_is_refused_in_nomads_words(config, message):
    with pytest.raises(DriverError) as caught:
        body_of(config)
    assert str(caught.value) == message


def test_a_link_out_of_the_allocation_is_a_host_path(tmp_path):
    task_dir = tmp_path / "A" / "web"
    (task_dir / "local").mkdir(parents=True)
    (task_dir / "local" / "link").symlink_to("/etc")
    with pytest.raises(DriverError, match="volumes are not enabled; cannot mount host path"):
        body_of({"volumes": ["local/link:/x"]}, task_dir=task_dir)


def test_capabilities_stay_within_what_the_agent_allows():
    assert capability_lists([], [], DEFAULT_CAPS) == ([], ["CAP_NET_RAW"])
    assert capability_lists(["chown"], ["mknod", "NET_RAW"], DEFAULT_CAPS) == (
        ["CAP_CHOWN"],
        ["CAP_MKNOD", "CAP_NET_RAW"],
    )
    assert capability_lists(["CAP_SYS_ADMIN"], [], ["all"]) == (["CAP_SYS_ADMIN"], [])
    assert capability_lists(["chown"], ["all"], DEFAULT_CAPS) == (["CAP_CHOWN"], ["ALL"])


@pytest.mark.parametrize(
    ("text", "full_name", "name"),
    [
        ("box", "box:latest", "box"),
        ("box:1", "box:1", "box:1"),
        ("https://127.0.0.1:1/box:1", "127.0.0.1:1/box:1", "127.0.0.1:1/box:1"),
        ("127.0.0.1:1/latest", "127.0.0.1:1/latest:latest", "127.0.0.1:1/latest"),
        ("a/b@sha256:" + "0" * 64, "a/b@sha256:" + "0" * 64, "a/b@sha256:" + "0" * 64),
    ],
)
def test_image_names(text, full_name, name):
    image = parse_image(text)
    assert (image.full_name, image.name) == (full_name, name)


@pytest.mark.parametrize("text", ["UPPER/Case:1", "box:", "box: x", "-box", "a//b", "box@sha256:zz"])
def test_bad_image_names_are_refused(text):
    with pytest.raises(DriverError, match="does not match registry specification"):
        parse_image(text)


def test_config_problems_name_the_key():
    assert config_problems({"image": "x", "colour": "red"}) == [
        'Invalid label: No argument or block type is named "colour".'
    ]
    assert config_problems({"command": "x"}) == [
        'Missing required argument: The argument "image" is required, but no definition was found.'
    ]


def test_settings_that_are_none_are_refused_by_name():
    with pytest.raises(ConfigurationError, match="colour"):
        parse_settings({"colour": 1})
    with pytest.raises(ConfigurationError, match=r"auth\.helper is not built yet"):
        parse_settings({"auth": [{"helper": "ecr"}]})
    assert parse_settings({"endpoint": "tcp://h:1"}).allow_caps == Settings().allow_caps
