"""The first process of a task: fork, put it where it belongs, become the user, exec.

Runs in the executor, which has one thread; so Python between fork and exec is safe here.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# Loaded once, in the zygote: a forked executor must not have to import anything.
_libc = ctypes.CDLL(None, use_errno=True)


class LaunchFailed(Exception):
    """The task's program could not be started; the text names the step that failed."""


def become_subreaper() -> None:
    """Orphans below this process become its children, so that none escapes and none stays a zombie."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def launch(
    spec: dict[str, Any], stdout: int, stderr: int, enter_groups: Callable[[], None], stdin: int | None = None
) -> int:
    """Start the program and give its pid, once it has replaced this one; raises LaunchFailed. Without a `stdin` it
    has nothing to read."""
    failure, report = os.pipe2(os.O_CLOEXEC)
    executor = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become_task(spec, (stdin, stdout, stderr), enter_groups, executor)
        except BaseException as error:
            os.write(report, str(error).encode(errors="replace")[:4000] or b"unknown error")
        finally:
            os._exit(127)
    os.close(report)
    with open(failure, "rb") as file:
        text = file.read()
    if text:
        os.waitpid(pid, 0)
        raise LaunchFailed(text.decode(errors="replace"))
    return pid


def find_program(name: str, env: dict[str, str]) -> str:
    """The path of a program, as the task itself would find it; raises LaunchFailed."""
    if "/" in name:
        return name
    for directory in os.get_exec_path(env):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise LaunchFailed(f'exec: "{name}": executable file not found in $PATH')


def _become_task(
    spec: dict[str, Any], streams: tuple[int | None, int, int], enter_groups: Callable[[], None], executor: int
) -> None:
    os.setsid()
    _step("cannot join the task's cgroups", enter_groups)
    if spec.get("oom_score_adj") is not None:
        _step("cannot set oom_score_adj", lambda: _set_oom_score_adj(int(spec["oom_score_adj"])))
    for target, source in enumerate(streams):
        os.dup2(os.open("/dev/null", os.O_RDONLY) if source is None else source, target)
    directory = spec["work_dir"]
    _step(f"cannot enter the working directory {directory!r}", lambda: os.chdir(directory))
    if spec.get("user") is not None:
        _step(f"cannot become user {spec['user']['name']!r}", lambda: _become_user(spec["user"]))
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # After the change of user, which clears it. Should the executor be killed, its task is not left behind.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != executor:
        os._exit(127)
    path = spec["path"]
    _step(f"fork/exec {path}", lambda: os.execve(path, spec["argv"], spec["env"]))


def _step(what: str, action: Callable[[], object]) -> None:
    try:
        action()
    except OSError as error:
        raise LaunchFailed(f"{what}: {(error.strerror or str(error)).lower()}") from error


def _set_oom_score_adj(score: int) -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(score))


def _become_user(user: dict[str, Any]) -> None:
    os.setgroups(user["groups"])
    os.setgid(user["gid"])
    os.setuid(user["uid"])
