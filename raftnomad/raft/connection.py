"""One framed connection between two servers, whichever side dialled: the hello, then messages and beats.

Both sides send a beat when they have sent nothing else for a while, and both give up when they hear nothing: that
tells a half-open link (a peer that vanished, a network that drops packets) within about a second, in either
direction, while a large frame on a slow link, which keeps arriving, is left alone.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from raftnomad.certificates import roles
from raftnomad.errors import PeerError
from raftnomad.raft import frames
from raftnomad.raft.hello import HELLO_BYTES_MAX, Hello, parse, refused
from raftnomad.raft.network import Message


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one connection. Bytes, and seconds of the event loop's monotonic clock."""

    frame_bytes_max: int = 8 * 1024 * 1024 + 64 * 1024
    """An entry of 8 MiB and what is wrapped around it."""
    write_buffer_bytes: int = 4 * 1024 * 1024
    """More than this waiting: not writable, bulk messages should be held back."""
    write_buffer_bytes_max: int = 32 * 1024 * 1024
    """More than this waiting: nothing is queued any more."""
    hello_timeout_s: float = 5.0
    connect_timeout_s: float = 1.0
    beat_s: float = 0.25
    idle_timeout_s: float = 1.0


class Connection(asyncio.Protocol):
    """`on_hello` refuses by raising PeerError. After `on_closed` nothing more is called; it is called exactly once.

    A dialled connection says its hello first; an accepted one answers when it has accepted the other's.
    """

    def __init__(
        self,
        *,
        own_hello: Callable[[], Hello],
        dialled: bool,
        limits: Limits,
        on_hello: Callable[[Connection, Hello], None],
        on_message: Callable[[Connection, Message], None],
        on_closed: Callable[[Connection, str], None],
        on_writable: Callable[[Connection], None] | None = None,
        tls: bool = False,
    ) -> None:
        self.peer: Hello | None = None
        """Who is at the other end, once the hello has been accepted."""
        self.remote = "?"
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended, with the reason."""
        self._own_hello = own_hello
        self._dialled = dialled
        self._limits = limits
        self._on_hello = on_hello
        self._on_message = on_message
        self._on_closed = on_closed
        self._on_writable = on_writable
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._reader = frames.FrameReader(HELLO_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._reason = ""
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._flush_due = False
        self._held_back = False
        self._heard_at = 0.0
        self._sent_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes)
        self.remote = remote_address(self._transport)
        refusal = self._certificate_refusal()
        if refusal:
            self.close(refusal)
            return
        timeout_s = self._hello_timeout_s()
        self._timer = self._loop.call_later(timeout_s, self.close, f"no hello within {timeout_s:g} s")
        if self._dialled:
            self._transport.write(frames.encode(self._own_hello().to_message()))

    def data_received(self, data: bytes) -> None:
        if self._reason:
            return
        self._heard_at = self._loop.time()
        self._reader.add(data)
        try:
            while not self._reason:
                frame = self._reader.next_frame()
                if frame is None:
                    return
                if self.peer is not None:
                    if frame:
                        self._on_message(self, frames.decode(frame))
                else:
                    self._receive_hello(frame)
        except PeerError as error:
            if self.peer is None and not self._dialled:
                self._write_refusal(str(error))
            self.close(str(error))

    def eof_received(self) -> bool:
        self.close("the other side closed it")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._end(self._reason or (f"connection lost: {error}" if error else "the other side closed it"))

    def resume_writing(self) -> None:
        self._tell_writable()

    # The hello.

    def _certificate_refusal(self) -> str:
        """Checked before anything is read: the role and the region that the peer's certificate was made for."""
        if not self._tls:
            return ""
        assert self._transport is not None
        ssl_object = cast("ssl.SSLObject | None", self._transport.get_extra_info("ssl_object"))
        if ssl_object is None:
            return "it is not encrypted"
        names = roles.peer_names(ssl_object)
        return roles.role_refusal(names, roles=("server",), region=self._own_hello().region)

    def _receive_hello(self, frame: bytes) -> None:
        hello = parse(frames.decode(frame))
        assert self._transport is not None
        if not self._dialled:
            # Before it is accepted nothing is parsed, so that the answer can't overtake the decision.
            self._on_hello(self, hello)
            self._transport.write(frames.encode(self._own_hello().to_message()))
            self._accept(hello)
        else:
            self._accept(hello)
            try:
                self._on_hello(self, hello)
            except PeerError:
                self.peer = None
                raise

    def _accept(self, hello: Hello) -> None:
        self.peer = hello
        self._reader.frame_bytes_max = self._limits.frame_bytes_max
        self._sent_at = self._heard_at = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._schedule_beat()

    def _write_refusal(self, reason: str) -> None:
        if self._transport is not None:
            self._transport.write(frames.encode(refused(reason)))

    def _hello_timeout_s(self) -> float:
        """Who dials is impatient: behind an address that just stopped answering it would wait in vain."""
        if self._dialled:
            return min(self._limits.hello_timeout_s, 2 * self._limits.connect_timeout_s)
        return self._limits.hello_timeout_s

    # Beats.

    def _schedule_beat(self) -> None:
        due = self._loop.time() + self._limits.beat_s
        self._timer = self._loop.call_at(due, self._beat, due)

    def _beat(self, due: float) -> None:
        now = self._loop.time()
        assert self._transport is not None
        if now - due > self._limits.idle_timeout_s / 4:
            # This process was stopped or busy: what arrived meanwhile is still to be read.
            self._heard_at = max(self._heard_at, now - self._limits.idle_timeout_s / 2)
        if now - self._heard_at > self._limits.idle_timeout_s:
            self.close(f"nothing heard for {now - self._heard_at:.1f} s", abort=True)
            return
        if now - self._sent_at >= self._limits.beat_s and not self._transport.get_write_buffer_size():
            self._transport.write(frames.BEAT)
            self._sent_at = now
        self._schedule_beat()

    # Sending.

    def waiting_bytes(self) -> int:
        """Queued here and not yet taken by the operating system."""
        if self._transport is None:
            return 0
        return self._queued_bytes + self._transport.get_write_buffer_size()

    def writable(self) -> bool:
        if self.waiting_bytes() <= self._limits.write_buffer_bytes:
            return True
        self._held_back = True
        return False

    def send(self, message: Message) -> bool:
        """Queue a message; what is queued in one turn of the event loop goes out in one write."""
        if self.peer is None or self._reason:
            return False
        frame = frames.encode(message)
        if len(frame) > self._limits.frame_bytes_max:
            raise PeerError(f"a '{message.get('type')}' message of {len(frame)} bytes is too large to send")
        if self.waiting_bytes() > self._limits.write_buffer_bytes_max:
            self._held_back = True
            return False
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        return True

    def _flush(self) -> None:
        self._flush_due = False
        if self._reason or self._transport is None:
            return
        queue, self._queue, self._queued_bytes = self._queue, [], 0
        self._transport.write(queue[0] if len(queue) == 1 else b"".join(queue))
        self._sent_at = self._loop.time()
        if self._transport.get_write_buffer_size() <= self._limits.write_buffer_bytes // 4:
            self._tell_writable()

    def _tell_writable(self) -> None:
        if self._held_back and self.peer is not None and not self._reason:
            self._held_back = False
            if self._on_writable is not None:
                self._on_writable(self)

    # The end.

    def close(self, reason: str, abort: bool = False) -> None:
        """End the connection, once what was written has gone out, or at once. `on_closed` is called before return."""
        if self._reason:
            return
        self._reason = reason
        if self._transport is not None:
            if abort:
                self._transport.abort()
            else:
                self._transport.close()
                # A peer that does not read would keep what it was sent, and the socket, for ever.
                self._loop.call_later(self._limits.hello_timeout_s, self._transport.abort)
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self.closed.done():
            return
        self._reason = reason
        if self._timer is not None:
            self._timer.cancel()
        self._queue, self._queued_bytes = [], 0
        self._reader = frames.FrameReader(0)
        self.closed.set_result(reason)
        self._on_closed(self, reason)


def remote_address(transport: asyncio.BaseTransport) -> str:
    """`host:port` of the other end, for logs."""
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return "?"
    return f"[{name[0]}]:{name[1]}" if ":" in str(name[0]) else f"{name[0]}:{name[1]}"
