"""The private Docker engine that the drivers' tests start serves these too."""

from tests.drivers.conftest import docker_engine

__all__ = ["docker_engine"]
