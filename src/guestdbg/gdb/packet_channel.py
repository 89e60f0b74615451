"""Packets to and from one client: acknowledgements, replies, notifications, error replies."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packets import Damaged, Decoder, Mark, Packet, frame

if TYPE_CHECKING:
    from guestdbg.gdb.connection import Connection
    from guestdbg.gdb.packets import PacketEvent

__all__ = ["PacketChannel"]

log = logging.getLogger(__name__)

# Bytes that an error text would have to escape.
_NOT_PLAIN = re.compile(rb"[#$*}\x00-\x1f]")


class PacketChannel(ABC):
    """The packets of one connection. What they mean is for the subclass.

    Attributes:
        connection: the connection.
        acknowledges: packets are acknowledged with "+" (until QStartNoAckMode).
        error_messages: the client understands errors in words (its feature ``error-message``).
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.acknowledges = True
        self.error_messages = False
        self._decoder = Decoder()
        self._last_sent = b""
        self._owes_ack = False

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether the session has ended: what the client still sends is not answered."""

    @abstractmethod
    def execute(self, packet: bytes) -> bytes | None:
        """The reply to a packet; None if there is none, or if it is sent later."""

    @abstractmethod
    def handle_interrupt(self) -> None:
        """The client has sent the byte 0x03 (Ctrl-C)."""

    def process_input(self, data: bytes) -> None:
        """Answer what the client has sent. Raises Hangup."""
        for event in self._decoder.feed(data):
            if self.ended:
                return
            self._process(event)

    def _process(self, event: PacketEvent) -> None:
        if isinstance(event, Packet):
            self._owes_ack = self.acknowledges
            reply = self.execute(event.data)
            if reply is not None:
                self.reply(reply)
            elif self._owes_ack:
                self.connection.send(b"+")
        elif event is Mark.INTERRUPT:
            self.handle_interrupt()
        elif event is Mark.NAK:
            if self.acknowledges and self._last_sent:
                self.connection.send(self._last_sent)
        elif isinstance(event, Damaged):
            log.info("a damaged packet: %s", event.reason)
            self.connection.send(
                b"-" if self.acknowledges else frame(self.error_reply(PacketError(event.reason)))
            )

    def reply(self, payload: bytes) -> None:
        """Reply to the packet now, for a handler that has more to do after its reply."""
        self._last_sent = frame(payload)
        self.connection.send(b"+" + self._last_sent if self._owes_ack else self._last_sent)
        self._owes_ack = False

    def send(self, payload: bytes) -> None:
        """Send a packet that was acknowledged before: a stop reply."""
        self._last_sent = frame(payload)
        self.connection.send(self._last_sent)

    def send_notification(self, payload: bytes) -> None:
        """Send a notification, which the client does not acknowledge with "+"."""
        self.connection.send(b"%" + frame(payload)[1:])

    def send_console_output(self, text: bytes, size: int = 512) -> None:
        """Send text that the client shows to its user, ``size`` bytes to an ``O`` packet.

        A client expects them only between a resume packet and its stop reply.
        """
        for at in range(0, len(text), size):
            self.connection.send(frame(b"O" + text[at : at + size].hex().encode()))

    def error_reply(self, error: PacketError) -> bytes:
        """The error reply in the form that this client understands."""
        if self.error_messages:
            return b"E." + _NOT_PLAIN.sub(b"?", error.text.encode("ascii", "replace"))
        return b"E%02x" % (error.number & 0xFF or 1)
