"""The events of a task, with the types, texts and details that Nomad's clients read and match on.

`display_message` is for people, `details` for programs; the single fields are older than `details` and say the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from raftnomad.drivers.driver import ExitResult
from raftnomad.durations import format_duration
from raftnomad.model.allocation import TaskEvent

KEPT = 10
"""So many of a task's events are kept, the newest."""


def received(now_ns: int) -> TaskEvent:
    return _event("Received", now_ns, "Task received by client")


def building_directory(now_ns: int) -> TaskEvent:
    text = "Building Task Directory"
    return _event("Task Setup", now_ns, text, {"message": text}, message=text)


def started(now_ns: int) -> TaskEvent:
    return _event("Started", now_ns, "Task started by client")


def terminated(now_ns: int, result: ExitResult) -> TaskEvent:
    text = f"Exit Code: {result.exit_code}"
    details = {
        "exit_code": str(result.exit_code),
        "signal": str(result.signal),
        "oom_killed": "true" if result.oom_killed else "false",
    }
    message = result.error or ("OOM Killed" if result.oom_killed else "")
    if result.signal:
        text += f", Signal: {result.signal}"
    if message:
        text += f', Exit Message: "{message}"'
        details["exit_message"] = message
    return _event(
        "Terminated", now_ns, text, details, exit_code=result.exit_code, signal=result.signal, message=message
    )


def restarting(now_ns: int, delay_ns: int, reason: str) -> TaskEvent:
    text = f"Task restarting in {format_duration(delay_ns)}"
    if reason and reason != "Restart within policy":
        text = f"{reason} - {text}"
    details = {"restart_reason": reason, "start_delay": str(delay_ns)}
    return _event("Restarting", now_ns, text, details, restart_reason=reason, start_delay_ns=delay_ns)


def not_restarting(now_ns: int, reason: str) -> TaskEvent:
    details = {"restart_reason": reason, "fails_task": "true"}
    return _event("Not Restarting", now_ns, reason, details, restart_reason=reason, fails_task=True)


def restart_signaled(now_ns: int, reason: str) -> TaskEvent:
    return _event("Restart Signaled", now_ns, reason, {"restart_reason": reason}, restart_reason=reason)


def signaling(now_ns: int, signal: str) -> TaskEvent:
    return _event("Signaling", now_ns, "Task being sent a signal", {"signal": signal})


def killing(now_ns: int, kill_timeout_ns: int) -> TaskEvent:
    text = format_duration(kill_timeout_ns)
    return _event(
        "Killing",
        now_ns,
        f"Sent interrupt. Waiting {text} before force killing",
        {"kill_timeout": text},
        kill_timeout_ns=kill_timeout_ns,
    )


def killed(now_ns: int, error: str = "") -> TaskEvent:
    if error:
        return _event("Killed", now_ns, error, {"kill_error": error}, kill_error=error)
    return _event("Killed", now_ns, "Task successfully killed")


def waiting_shutdown_delay(now_ns: int, delay_ns: int) -> TaskEvent:
    text = f"Waiting for shutdown_delay of {format_duration(delay_ns)} before killing the task."
    return _event("Waiting for shutdown delay", now_ns, text)


def skipping_shutdown_delay(now_ns: int) -> TaskEvent:
    return _event("Skipping shutdown delay", now_ns, "Skipping shutdown_delay before killing the task.")


def sibling_failed(now_ns: int, sibling: str) -> TaskEvent:
    text = f'Task\'s sibling "{sibling}" failed'
    return _event("Sibling Task Failed", now_ns, text, {"failed_sibling": sibling}, failed_sibling=sibling)


def leader_dead(now_ns: int) -> TaskEvent:
    return _event("Leader Task Dead", now_ns, "Leader Task in Group dead")


def main_dead(now_ns: int) -> TaskEvent:
    return _event("Main Tasks Dead", now_ns, "Main tasks in the group died")


def driver_message(now_ns: int, message: str, details: Mapping[str, str]) -> TaskEvent:
    return _event("Driver", now_ns, message, dict(details), driver_message=message)


def driver_failure(now_ns: int, error: str) -> TaskEvent:
    return _event("Driver Failure", now_ns, error, {"driver_error": error}, driver_error=error)


def failed_validation(now_ns: int, error: str) -> TaskEvent:
    return _event("Failed Validation", now_ns, error, {"validation_error": error}, validation_error=error)


def setup_failure(now_ns: int, error: str) -> TaskEvent:
    return _event("Setup Failure", now_ns, error, {"setup_error": error}, setup_error=error)


def hook_failed(now_ns: int, message: str) -> TaskEvent:
    return _event("Task hook failed", now_ns, message, {"message": message}, message=message)


def hook_message(now_ns: int, message: str) -> TaskEvent:
    return _event("Task hook message", now_ns, message, {"message": message}, message=message)


def failed_restoring(now_ns: int, error: str) -> TaskEvent:
    text = f"failed to restore task; will not run until server is contacted: {error}"
    return _event("Failed Restoring Task", now_ns, text, {"message": text}, message=text)


def alloc_unhealthy(now_ns: int, message: str) -> TaskEvent:
    return _event("Alloc Unhealthy", now_ns, message, {"message": message}, message=message)


def reconnected(now_ns: int) -> TaskEvent:
    return _event("Reconnected", now_ns, "Client reconnected")


def _event(
    kind: str,
    now_ns: int,
    display_message: str,
    details: dict[str, str] | None = None,
    *,
    message: str = "",
    fails_task: bool = False,
    restart_reason: str = "",
    setup_error: str = "",
    driver_error: str = "",
    driver_message: str = "",
    validation_error: str = "",
    exit_code: int = 0,
    signal: int = 0,
    kill_timeout_ns: int = 0,
    kill_error: str = "",
    start_delay_ns: int = 0,
    failed_sibling: str = "",
) -> TaskEvent:
    return TaskEvent(
        type=kind,
        time_ns=now_ns,
        display_message=display_message,
        details=details or {},
        message=message,
        fails_task=fails_task,
        restart_reason=restart_reason,
        setup_error=setup_error,
        driver_error=driver_error,
        driver_message=driver_message,
        validation_error=validation_error,
        exit_code=exit_code,
        signal=signal,
        kill_timeout_ns=kill_timeout_ns,
        kill_error=kill_error,
        start_delay_ns=start_delay_ns,
        failed_sibling=failed_sibling,
    )
