"""The executor: one small process for each task, which outlives the agent and remembers how the task ended.

It starts the task, copies its output to log files, answers on a socket in its directory, kills the whole tree when
the first process ends or a stop runs out of time, writes the end to disk, answers who waits, and goes.
Forked from the zygote, with everything imported; a single thread and a poll loop keep it at about two megabytes.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from raftnomad.drivers import cgroups, exit_status, frames, launch, log_files, processes

SOCKET = "s"

READ_BYTES = 65536

STREAMS = 3
"""How many descriptors come with a request to run a command: its input, its output and its errors."""

KILL_PATIENCE_S = 10.0
"""How long processes that do not die of SIGKILL (hanging in the kernel) are waited for."""

SAVE_AGAIN_S = 1.0

DRAIN_PATIENCE_S = 2.0
"""How long output is awaited from pipes that something outside the task keeps open."""


class Executor:
    def __init__(self, directory: str, spec: dict[str, Any], starter: socket.socket) -> None:
        self._directory = directory
        self._spec = spec
        self._starter = starter
        self._selector = selectors.DefaultSelector()
        self._groups = cgroups.TaskGroups({})
        self._enter = self._groups.enter
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._outputs: dict[int, log_files.LogFiles] = {}
        self._waiting: list[socket.socket] = []
        self._commands: dict[int, socket.socket | None] = {}
        """Other programs that run here, by pid: who wants to know how they end, or nobody any more."""
        self._deadline: float | None = None
        self._pid = 0
        self._wait_status: int | None = None
        self._status: exit_status.Status = {}

    def run(self) -> None:
        """Start the task and stay until its end is on disk. A task that can't be started is the starter's answer."""
        self._listen()
        try:
            self._start()
            exit_status.write(self._directory, self._status)
        except (launch.LaunchFailed, OSError) as error:
            self._abandon()
            _send(self._starter, {"ok": False, "error": str(error)})
            return
        if not _send(self._starter, {"ok": True, "status": self._status}):
            # Who asked has died, and nobody knows of this task.
            self._abandon()
            return
        self._starter.close()
        while self._wait_status is None:
            self._serve_once()
        self._finish()

    # Starting

    def _listen(self) -> None:
        # The socket's name may be too long for the kernel; the directory's descriptor is not.
        directory = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        self._listener.bind(f"/proc/self/fd/{directory}/{SOCKET}")
        os.close(directory)
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        wakeup, notify = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(notify, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _noted)
        signal.signal(signal.SIGTERM, lambda *_: self._stop(signal.SIGTERM, 5.0))
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._selector.register(wakeup, selectors.EVENT_READ, lambda: self._reap(wakeup))

    def _start(self) -> None:
        spec = self._spec
        if spec.get("cgroup_v2") or spec.get("cgroup_v1"):
            paths, self._groups = cgroups.overridden(spec.get("cgroup_v2") or "", spec.get("cgroup_v1") or {})
            self._enter = cgroups.TaskGroups(paths).enter
        else:
            self._groups = cgroups.create(spec["group"], spec.get("limits") or {})
            self._enter = self._groups.enter
        stdout, stderr = self._output("stdout"), self._output("stderr")
        try:
            self._pid = launch.launch(spec, stdout, stderr, self._enter)
        finally:
            os.close(stdout)
            os.close(stderr)
        self._status = {
            "version": exit_status.VERSION,
            "run": spec["run"],
            "task_id": spec["task_id"],
            "state": "running",
            "pid": self._pid,
            "start_time": processes.start_time(self._pid),
            "executor_pid": os.getpid(),
            "executor_start_time": processes.start_time(os.getpid()),
            "boot_id": processes.boot_id(),
            "groups": self._groups.paths,
        }

    def _output(self, stream: str) -> int:
        """The descriptor that the task writes to."""
        logs = self._spec.get("logs")
        if logs is None:
            return os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        files = log_files.LogFiles(logs["directory"], f"{logs['name']}.{stream}", logs["files"], logs["file_bytes"])
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        self._outputs[reading] = files
        self._selector.register(reading, selectors.EVENT_READ, lambda: self._copy(reading))
        return writing

    # While it runs

    def _serve_once(self) -> None:
        timeout = None if self._deadline is None else max(self._deadline - time.monotonic(), 0)
        for key, _ in self._selector.select(timeout):
            if self._wait_status is not None:
                return
            key.data()
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            self._kill_tree()

    def _copy(self, reading: int) -> bool:
        """Move what one pipe holds to its files: as slowly as the disk, since the task then waits. False: no more."""
        try:
            data = os.read(reading, READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._outputs[reading].write(data)
            return True
        self._selector.unregister(reading)
        os.close(reading)
        self._outputs.pop(reading).close()
        return False

    def _reap(self, wakeup: int) -> None:
        try:
            os.read(wakeup, 4096)
        except BlockingIOError:
            pass
        self._reap_children()

    def _reap_children(self) -> None:
        """Collect all that ended: the task's first process, and orphans of it, whose reaper this is."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._wait_status = wait_status
            elif (peer := self._commands.pop(pid, None)) is not None:
                _send(peer, {"ok": True, "exit_code": _exit_code(wait_status)})

    def _stop(self, number: int, timeout_s: float) -> None:
        if self._wait_status is None:
            processes.kill(self._pid, number)
            deadline = time.monotonic() + timeout_s
            self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def _pids(self) -> list[int]:
        return self._groups.pids() if self._groups.tracks else processes.descendants(os.getpid())

    def _kill_tree(self) -> None:
        self._groups.kill()
        for pid in processes.descendants(os.getpid()):
            processes.kill(pid)

    # Requests

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        peer.setblocking(False)
        incoming = frames.Frames()
        descriptors: list[int] = []
        self._selector.register(peer, selectors.EVENT_READ, lambda: self._hear(peer, incoming, descriptors))

    def _hear(self, peer: socket.socket, incoming: frames.Frames, descriptors: list[int]) -> None:
        """descriptors: what has come with a request that is not whole yet."""
        try:
            data, arrived, _, _ = socket.recv_fds(peer, READ_BYTES, STREAMS)
            descriptors += arrived
            requests = incoming.feed(data)
        except BlockingIOError:
            return
        except (OSError, ValueError, frames.BrokenFrame):
            data, requests = b"", []
        for request in requests:
            self._answer(peer, request, descriptors)
        if requests or not data:
            for descriptor in descriptors:
                os.close(descriptor)
            descriptors.clear()
        if not data:
            self._forget(peer)

    def _answer(self, peer: socket.socket, request: frames.Message, descriptors: list[int]) -> None:
        operations: dict[str, Callable[[], object]] = {
            "status": lambda: _send(peer, {"ok": True, "status": self._status}),
            "pids": lambda: _send(peer, {"ok": True, "pids": self._pids()}),
            "wait": lambda: self._waiting.append(peer),
            "signal": lambda: self._signal(peer, int(request["signal"])),
            "exec": lambda: self._execute(peer, [str(part) for part in request["command"]], descriptors),
            "stop": lambda: self._stop_for(peer, int(request["signal"]), float(request["timeout_s"])),
        }
        operation = operations.get(str(request.get("op")))
        if request.get("protocol") != frames.PROTOCOL or operation is None:
            _send(peer, {"ok": False, "error": f"this executor speaks protocol {frames.PROTOCOL} only"})
        elif request.get("run") != self._spec["run"]:
            _send(peer, {"ok": False, "error": "another run of the task is going on"})
        else:
            try:
                operation()
            except launch.LaunchFailed as error:
                _send(peer, {"ok": False, "error": str(error)})
            except (LookupError, ValueError, TypeError, OSError) as error:
                _send(peer, {"ok": False, "error": f"bad request: {error}"})

    def _signal(self, peer: socket.socket, number: int) -> None:
        if self._wait_status is None:
            processes.kill(self._pid, number)
        _send(peer, {"ok": True})

    def _execute(self, peer: socket.socket, command: list[str], descriptors: list[int]) -> None:
        """Run another program beside the task, on the three streams that came with the request."""
        stdin, stdout, stderr = descriptors
        spec = self._spec | {"path": launch.find_program(command[0], self._spec["env"]), "argv": command}
        self._commands[launch.launch(spec, stdout, stderr, self._enter, stdin)] = peer

    def _stop_for(self, peer: socket.socket, number: int, timeout_s: float) -> None:
        self._waiting.append(peer)
        self._stop(number, timeout_s)

    def _forget(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        if peer in self._waiting:
            self._waiting.remove(peer)
        for pid in [pid for pid, waiting in self._commands.items() if waiting is peer]:
            # Nobody reads what it prints, or could tell it to end.
            processes.kill(-pid)
            self._commands[pid] = None
        peer.close()

    # The end

    def _abandon(self) -> None:
        self._end_tree()
        self._groups.remove()

    def _finish(self) -> None:
        oom_kills = self._groups.oom_kills()
        self._end_tree()
        self._drain()
        assert self._wait_status is not None
        number = max(-os.waitstatus_to_exitcode(self._wait_status), 0)
        self._status |= {
            "state": "exited",
            "exit_code": _exit_code(self._wait_status),
            "signal": number,
            "oom_killed": number == signal.SIGKILL and oom_kills > 0,
            "error": "",
        }
        self._groups.remove()
        saved = self._save()
        self._answer_waiting()
        while not saved:
            # The disk is full: the exit code lives here until there is room, or nobody wants it any more.
            self._serve_until(time.monotonic() + SAVE_AGAIN_S)
            saved = self._save()

    def _save(self) -> bool:
        """Whether the end needs no executor any longer: it is on disk, or its directory is gone."""
        try:
            exit_status.write(self._directory, self._status)
            os.unlink(os.path.join(self._directory, SOCKET))
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _answer_waiting(self) -> None:
        for peer in self._waiting:
            peer.settimeout(1.0)
            _send(peer, {"ok": True, "status": self._status})
        self._waiting.clear()

    def _serve_until(self, end: float) -> None:
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                key.data()
            self._answer_waiting()

    def _end_tree(self) -> None:
        """Nothing of a task outlives its first process."""
        pause_s, deadline = 0.001, time.monotonic() + KILL_PATIENCE_S
        while (self._pids() or processes.descendants(os.getpid())) and time.monotonic() < deadline:
            self._kill_tree()
            time.sleep(pause_s)
            self._reap_children()
            pause_s = min(pause_s * 2, 0.05)
        self._reap_children()

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_PATIENCE_S
        while self._outputs and time.monotonic() < deadline:
            moved = [self._copy(reading) for reading in list(self._outputs)]
            if not any(moved):
                time.sleep(0.005)


def _noted(*_: object) -> None:
    """A signal handler that only makes the signal reach the wakeup pipe."""


def _exit_code(wait_status: int) -> int:
    """As a shell says it."""
    code = os.waitstatus_to_exitcode(wait_status)
    return 128 - code if code < 0 else code


def _send(peer: socket.socket, message: frames.Message) -> bool:
    """Answer; False when the other has gone away, or does not read."""
    try:
        peer.sendall(frames.encode(message))
    except OSError:
        return False
    return True


def run(directory: str, spec: dict[str, Any], starter: socket.socket) -> None:
    """An executor's whole life, in a process of its own; what goes wrong stands in `executor.log` beside it."""
    log = os.open(os.path.join(directory, "executor.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open("/dev/null", os.O_RDONLY)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(log)
    os.close(null)
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    launch.become_subreaper()
    Executor(directory, spec, starter).run()
