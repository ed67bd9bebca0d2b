"""pysyncobj as this package meets it: the very version that was audited, loaded as a copy of our own.

Each server gets its own copy of the module `pysyncobj.syncobj`, in which the names of everything that touches disk,
clock, chance, network or pickle are ours. The installed module, which the user's other code may be using, stays as
it is.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

import pysyncobj
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from raftnomad import errors

VERSION = "0.3.17"
HASHES = {
    "__init__.py": "4966a9dd893542b1b0e0fcef3d2ea44f2f40919d66b684992e5511be7503c036",
    "atomic_replace.py": "43a5252a241939b7f457cbbf39480260c91f0d2035a62b170bf1e1d20d0f9c1d",
    "config.py": "fbbc7ff9f18e4d15a7fd563376e42f5bd192956879d4b810b056d5248b955698",
    "dns_resolver.py": "4b88da2b45e20fbb299fb7a21f2595369b6314700b687fb8858891999bce14e0",
    "encryptor.py": "db20725465efdfc6d7a3b5b2112f53bc5426d36c56312ebdf5fbcf05423a7c19",
    "fast_queue.py": "8477fe5fdf36d9766df933310d3d66ee953d1afc195b1e6482b3a1498fc517bd",
    "journal.py": "9cf1eaf6acc704581a4cf7d3de330a404403913107adc91c929778b7e3f35edf",
    "monotonic.py": "d116df70e1f81bcab1fb89191fe2fe18486bc25187401d73fd6101cfe686e0a3",
    "node.py": "e4a3f027cd8291f558334bb9c977e952f6b6989e7e1fa1588d3005ef0b990e2c",
    "pickle.py": "e9327780738065cec5d600484b936c91e7c13875206cb584d5ff7f5d0dc9c474",
    "pipe_notifier.py": "587d964bfa5d62320f3541cbb283ff3e282cb2db95e1b8cfd888dc3d53af82aa",
    "poller.py": "f69ac749fb410670282fd9520c5805ffc684c8a5f762a927127753d9be8551e6",
    "serializer.py": "4d39fde2f15000ad8f507ec229ebd4f6a86371b6f84d4dc1439a9cccd52857ee",
    "syncobj.py": "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4",
    "tcp_connection.py": "7784ed8da031369fe36f805cb186a2e94a3bd6f10fed2dd59c8cc3713fd6331c",
    "tcp_server.py": "bde2f216c1a585029188d0438b44762e2e797dfc53bbce387839daaa46b9a60d",
    "transport.py": "0c9d89f9c4781ec9772df8011d7975a1a4a1a5f541357e12eae85a813e92b50b",
    "utility.py": "1aa0c49d3558c5df6489235b94ae44357b382f9f0792b9d72ae6e5ae0c0039ea",
    "version.py": "0b8426a8b52ecf874193897d26c4214acbd85335145ea9ff17e27a22b1132943",
    "win_inet_pton.py": "75315fdf68bfa4219c2952b21077387be45a02c4f01db45c7355cdc883c8e9cc",
}
_MODULE = "pysyncobj.syncobj_of_raftnomad"


@functools.cache
def check_files(directory: str) -> None:
    """Raises ConfigurationError unless every file of pysyncobj that runs is the one that was audited."""
    for name, expected in HASHES.items():
        path = os.path.join(directory, name)
        try:
            with open(path, "rb") as file:
                found = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            raise errors.ConfigurationError(f"pysyncobj {VERSION} is incomplete: {error}") from error
        if found != expected:
            raise errors.ConfigurationError(
                f"{path} is not that of pysyncobj {VERSION} (sha256 {found[:12]}, expected {expected[:12]}): "
                f"raftnomad builds on its inner workings; run `pip install --force-reinstall pysyncobj=={VERSION}`"
            )


def load_copy(
    *, journal: object, monotonic_s: Callable[[], float], chance: random.Random, directory: str | None = None
) -> ModuleType:
    """A fresh copy of pysyncobj's core for one server. `journal` is what its `createJournal` returns."""
    directory = directory or os.path.dirname(pysyncobj.__file__)
    check_files(directory)
    spec = importlib.util.spec_from_file_location(_MODULE, os.path.join(directory, "syncobj.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    replaced = {
        "pickle": _Refused("pickle"),
        "os": _Refused("os"),
        "time": _Refused("time"),
        "createJournal": lambda path: journal,
        "Serializer": lambda *arguments: _NoSerializer(),
        "createPoller": lambda kind: _NoPoller(),
        "globalDnsResolver": lambda: _NoResolver(),
        "PIPE_NOTIFIER_ENABLED": False,
        "monotonicTime": monotonic_s,
        "random": chance,
    }
    for name, value in replaced.items():
        assert hasattr(module, name), f"pysyncobj has no {name}"
        setattr(module, name, value)
    return module


class ServerNode(Node):  # type: ignore[misc]
    """A member by its id. pysyncobj keeps members in sets; this hash makes their order the same in every run."""

    def __init__(self, node_id: str) -> None:
        super().__init__(node_id)
        self._order = int.from_bytes(hashlib.blake2b(node_id.encode(), digest_size=7).digest(), "big")

    def __hash__(self) -> int:
        return self._order


class CoreTransport(Transport):  # type: ignore[misc]
    """What the core believes to be the network: a function that it calls."""

    def __init__(self, send: Callable[[str, dict[str, Any]], bool]) -> None:
        super().__init__(None, None, [])
        self._send = send

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        return self._send(node.id, message)

    def deliver(self, node_id: str, message: dict[str, Any]) -> None:
        self._onMessageReceived(ServerNode(node_id), message)

    def connected(self, node_id: str) -> None:
        self._onNodeConnected(ServerNode(node_id))

    def disconnected(self, node_id: str) -> None:
        self._onNodeDisconnected(ServerNode(node_id))


class _Refused:
    """Stands where the core must never reach."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AssertionError(f"pysyncobj reached for {self._name}.{attribute}")


class _NoSerializer:
    """Snapshots are taken, kept, sent and installed by `snapshots.py`."""

    def checkSerializing(self) -> NoReturn:
        raise AssertionError("pysyncobj wants to compact the log itself")


class _NoPoller:
    """The event loop is ours."""

    def poll(self, timeout_s: float) -> None: ...


class _NoResolver:
    """Addresses are the transport's business."""

    def setTimeouts(self, *arguments: object) -> None: ...

    def setPreferredAddrFamily(self, family: object) -> None: ...
