"""`docker`: tasks in containers. The engine is met in `engine.py`, what a container looks like is decided in
`config.py`, and `driver.py` follows the containers' lives."""

from raftnomad.drivers.docker.driver import DockerDriver

__all__ = ["DockerDriver"]
