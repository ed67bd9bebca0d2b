from pathlib import Path

import pytest

from raftnomad.drivers.conformance import DriverConformance
from raftnomad.drivers.docker import DockerDriver

pytestmark = pytest.mark.docker


def shell(script: str) -> dict[str, object]:
    return {"image": "box:1", "command": "/bin/sh", "args": ["-c", script]}


class TestDocker(DriverConformance):
    @pytest.fixture(autouse=True)
    def _engine(self, docker_engine):
        self.endpoint = docker_engine

    lines_that_rotate = 22_000  # more would not fit the engine's own log files

    def make_driver(self, state_dir: Path) -> DockerDriver:
        return DockerDriver({"endpoint": self.endpoint}, state_dir)

    def sleeps(self):
        return shell("trap 'exit 0' TERM; while true; do sleep 0.1; done")

    def exits(self, code):
        return shell(f"exit {code}")

    def ignores_stop(self):
        return shell("trap '' INT TERM; echo ready; while true; do sleep 0.1; done")

    def exits_on_usr1(self, code):
        return shell(f"trap 'exit {code}' USR1; echo ready; while true; do sleep 0.1; done")

    def prints(self, stdout, stderr):
        return shell(f"printf '{stdout}'; printf '{stderr}' >&2")

    def prints_lines(self, count):
        dots = "." * 100
        script = f'BEGIN {{ for (i = 1; i <= {count}; i++) print "line " i "{dots}" }}'
        return {"image": "box:1", "command": "/bin/awk", "args": [script]}

    def leaves_children(self):
        return shell(
            "setsid sleep 300 & setsid sh -c 'sleep 300 & sleep 300' & echo ready; " + self.sleeps()["args"][1]
        )

    def prints_variable(self, name):
        return shell(f"echo ${name}")
