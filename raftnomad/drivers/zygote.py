"""The zygote: forks an executor for every connection, so that each costs two megabytes and not a Python of six.

It parses nothing itself: the fork reads the request and answers, so no request can harm it. It outlives the agent
(own session, own parent) and is found again by its socket; when it is dead, a new one takes over, and the executors
that it made do not notice. It imports as little as possible, and everything that an executor needs.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
import traceback

from raftnomad.drivers import executor_process, frames, launch

IDLE_S = 600.0
"""After so long without a request, and without an executor alive, the zygote goes; the next start makes a new one."""

LOOK_AROUND_S = 30.0
"""How often it checks that its socket is still its own: the directory may have been removed."""


def main(arguments: list[str]) -> None:
    """`zygote DIRECTORY SOCKET_NAME`; returns in the first process once the zygote is listening."""
    directory, name = arguments
    os.chdir(directory)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.unlink(name)
    except FileNotFoundError:
        pass
    # A relative name: the whole path may be longer than the kernel allows.
    listener.bind(name)
    listener.listen(128)
    if os.fork() > 0:
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The kernel collects executors that ended, and orphans of ones that were killed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    launch.become_subreaper()
    _rename("raftnomad-zygote")
    gc.disable()
    gc.freeze()
    _serve(listener, name, os.stat(name).st_ino)


def _serve(listener: socket.socket, name: str, inode: int) -> None:
    listener.settimeout(LOOK_AROUND_S)
    idle_s = 0.0
    while True:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            idle_s += LOOK_AROUND_S
            if not _owns(name, inode) or (idle_s >= IDLE_S and not _has_children()):
                return
            continue
        except OSError:
            continue
        idle_s = 0.0
        if os.fork() == 0:
            listener.close()
            _answer(connection)
        connection.close()


def _answer(connection: socket.socket) -> None:
    """In the fork: read one request and become what it asks for. Never returns."""
    code = 1
    try:
        os.setsid()
        gc.enable()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection.settimeout(10.0)
        request = frames.receive(connection) if _is_ours(connection) else None
        if request is not None:
            _obey(request, connection)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _obey(request: frames.Message, connection: socket.socket) -> None:
    operation = request.get("op")
    if operation == "retire":
        os.kill(os.getppid(), signal.SIGTERM)
    elif request.get("protocol") != frames.PROTOCOL:
        connection.sendall(frames.encode({"ok": False, "error": f"this zygote speaks protocol {frames.PROTOCOL} only"}))
    elif operation == "hello":
        connection.sendall(frames.encode({"ok": True, "pid": os.getppid()}))
    elif operation == "launch":
        _rename("raftnomad-exec")
        executor_process.run(request["directory"], request["spec"], connection)


def _is_ours(connection: socket.socket) -> bool:
    """Only the user that the zygote runs as, or root, may start processes through it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (os.getuid(), 0)


def _has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _owns(name: str, inode: int) -> bool:
    try:
        return os.stat(name).st_ino == inode
    except OSError:
        return False


def _rename(name: str) -> None:
    with open("/proc/self/comm", "w") as file:
        file.write(name[:15])


if __name__ == "__main__":
    main(sys.argv[1:])
