import pytest

from raftnomad.drivers.driver import DriverError
from raftnomad.drivers.registry import load_drivers, settings_of
from raftnomad.drivers.users import parse_ranges


def test_the_built_in_drivers_are_found(tmp_path):
    drivers = load_drivers({}, {}, tmp_path)
    assert {"docker", "mock_driver", "raw_exec"} <= set(drivers)
    assert all(name == driver.name for name, driver in drivers.items())


def test_options_allow_and_deny_drivers_by_name(tmp_path):
    assert set(load_drivers({}, {"driver.allowlist": "raw_exec, mock_driver"}, tmp_path)) == {"raw_exec", "mock_driver"}
    assert "docker" not in load_drivers({}, {"driver.denylist": "docker"}, tmp_path)


async def test_a_plugin_block_reaches_its_driver(tmp_path):
    drivers = load_drivers({"raw_exec": {"enabled": True}}, {}, tmp_path)
    assert (await drivers["raw_exec"].fingerprint()).attributes == {"driver.raw_exec": "true"}


def test_older_options_stand_in_for_plugin_blocks():
    assert settings_of("raw_exec", None, {"driver.raw_exec.enable": "1"}) == {"enabled": True}
    assert settings_of("raw_exec", None, {"env.denylist": "A,B"}) == {"env_denylist": ["A", "B"]}
    assert settings_of("docker", None, {"docker.privileged.enabled": "true"}) == {"allow_privileged": True}


def test_a_plugin_block_leaves_nothing_to_the_older_options():
    assert settings_of("raw_exec", {"enabled": False}, {"driver.raw_exec.enable": "1"}) == {"enabled": False}
    assert settings_of("docker", {"gc": {}}, {"docker.volumes.enabled": "true"}) == {"gc": {}}
    assert settings_of("raw_exec", {"enabled": True}, {"env.denylist": "A"}) == {"enabled": True, "env_denylist": ["A"]}


def test_ranges_of_ids():
    assert parse_ranges("1-10, 99", "key") == [range(1, 11), range(99, 100)]
    for text in ("x", "5-1", "-3"):
        with pytest.raises(DriverError, match="key: "):
            parse_ranges(text, "key")
