import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "scripts" / "docker-engine"


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[str]:
    """The endpoint of a private Docker engine with the images box:1 and box:full; skips where none can run."""
    if given := os.environ.get("RAFTNOMAD_TEST_DOCKER_HOST"):
        yield given
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("busybox") is None:
        pytest.skip("needs root, dockerd and a static busybox to start a private Docker engine")
    directory = tempfile.mkdtemp(prefix="raftnomad-docker-")
    started = subprocess.run([ENGINE, "start", directory], capture_output=True, text=True, timeout=60)
    if started.returncode != 0:
        subprocess.run([ENGINE, "stop", directory], capture_output=True, timeout=60)
        pytest.skip(f"no Docker engine starts here: {started.stderr.strip()[-300:]}")
    yield f"unix://{directory}/docker.sock"
    subprocess.run([ENGINE, "stop", directory], capture_output=True, timeout=60)
