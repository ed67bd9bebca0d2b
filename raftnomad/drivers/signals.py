"""Signals by the names that job files use."""

from __future__ import annotations

import signal

from raftnomad.drivers.driver import DriverError

NAMES = (
    *("SIGABRT", "SIGALRM", "SIGBUS", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO", "SIGIOT", "SIGKILL"),
    *("SIGNULL", "SIGPIPE", "SIGPROF", "SIGQUIT", "SIGSEGV", "SIGSTOP", "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP"),
    *("SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGXCPU", "SIGXFSZ"),
)
"""Those that Nomad's drivers know; SIGNULL only asks whether the task is there."""


def parse(name: str) -> int:
    """The number of "SIGHUP"; raises DriverError for a name that is none."""
    if name not in NAMES:
        listed = " ".join(f'"{known}"' for known in NAMES)
        raise DriverError(f'failed to parse signal: invalid signal "{name}" - valid signals are [{listed}]')
    return 0 if name == "SIGNULL" else int(signal.Signals[name])
