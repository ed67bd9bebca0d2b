from __future__ import annotations

from raftnomad.client.fingerprint import drivers
from raftnomad.clock import rfc3339
from raftnomad.drivers.driver import Fingerprint

WELL = Fingerprint(detected=True, healthy=True, attributes={"driver.docker.version": "20"})
ILL = Fingerprint(detected=True, healthy=False, description="Failed to connect to docker daemon")


def test_the_time_of_a_driver_changes_only_with_its_health() -> None:
    first = drivers.infos({"docker": WELL}, None, 1)
    assert drivers.infos({"docker": WELL}, first, 2) == first
    assert drivers.infos({"docker": ILL}, first, 3)["docker"].update_time == rfc3339(3)


def test_a_change_of_health_is_an_event_of_the_node() -> None:
    before, after = drivers.infos({"docker": WELL}, None, 1), drivers.infos({"docker": ILL}, None, 2)
    (event,) = drivers.events(before, after, 5)
    assert (event.subsystem, event.message) == ("Driver", "Failed to connect to docker daemon")
    assert drivers.events(None, after, 5) == ()


def test_what_is_not_detected_gives_the_node_no_attributes() -> None:
    missing = Fingerprint(detected=False, healthy=False, attributes={"driver.docker.version": "20"})
    assert drivers.attributes({"docker": missing}) == {}
    assert drivers.attributes({"docker": WELL}) == {"driver.docker.version": "20", "driver.docker": "1"}
