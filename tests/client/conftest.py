"""A client agent with a mock driver and a server that is not one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from raftnomad.client.client import Client
from raftnomad.client.connection import HttpConnection
from raftnomad.client.settings import ClientSettings
from raftnomad.clock import SystemClock
from raftnomad.drivers.mock import MockDriver
from tests.client.fake_server import FakeServer

ClientMaker = Callable[[], Client]


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def settings(tmp_path: Path) -> ClientSettings:
    return ClientSettings(
        data_dir=tmp_path / "data",
        dev=True,
        http_address="127.0.0.1:4646",
        report_interval_s=0.02,
        poll_wait_s=5.0,
    )


@pytest.fixture
def make_client(server: FakeServer, settings: ClientSettings, tmp_path: Path) -> ClientMaker:
    """Another client on the same data directory, as after a restart of the agent."""

    def make() -> Client:
        drivers = {"mock_driver": MockDriver({}, tmp_path / "drivers")}
        return Client(settings, drivers, HttpConnection([server.address]), SystemClock(), os.urandom)

    return make


@pytest.fixture
async def client(make_client: ClientMaker) -> AsyncIterator[Client]:
    made = make_client()
    await made.start()
    yield made
    await made.stop(kill_tasks=True)
