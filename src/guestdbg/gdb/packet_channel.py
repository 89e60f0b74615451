"""What goes between a client and us: packets, acknowledgements, replies and refusals."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod

from guestdbg.gdb.connection import Link
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.packets import Damaged, Decoder, Event, Mark, Packet, frame

__all__ = ["Conversation"]

log = logging.getLogger(__name__)

# What would have to be escaped in a text.
_UNPLAIN = re.compile(rb"[#$*}\x00-\x1f]")


class Conversation(ABC):
    """The conversation over one link; what is said in it is for those who inherit.

    Attributes:
        link: the connection.
        acknowledged: packets are acknowledged, until the client wants it otherwise.
        words: the client takes errors in words.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.acknowledged = True
        self.words = False
        self._decoder = Decoder()
        self._last = b""
        self._owed = False

    @property
    @abstractmethod
    def over(self) -> bool:
        """Whether nothing more is to be answered."""

    @abstractmethod
    def execute(self, packet: bytes) -> bytes | None:
        """The reply to a packet; None where there is none, or it comes later."""

    @abstractmethod
    def interrupted(self) -> None:
        """The client has sent the byte that Ctrl-C is."""

    def take(self, data: bytes) -> None:
        """Answer what the client has sent. Raises Hangup."""
        for arrival in self._decoder.feed(data):
            if self.over:
                return
            self._answer(arrival)

    def _answer(self, arrival: Event) -> None:
        if isinstance(arrival, Packet):
            self._owed = self.acknowledged
            reply = self.execute(arrival.data)
            if reply is not None:
                self.answer(reply)
            elif self._owed:
                self.link.send(b"+")
        elif arrival is Mark.INTERRUPT:
            self.interrupted()
        elif arrival is Mark.NAK:
            if self.acknowledged and self._last:
                self.link.send(self._last)
        elif isinstance(arrival, Damaged):
            log.info("a damaged packet: %s", arrival.why)
            self.link.send(b"-" if self.acknowledged else frame(self.error(Refused(arrival.why))))

    def answer(self, reply: bytes) -> None:
        """Answer the packet; for those who have more to do behind the answer."""
        self._last = frame(reply)
        self.link.send(b"+" + self._last if self._owed else self._last)
        self._owed = False

    def say(self, reply: bytes) -> None:
        """Send a reply that was owed for longer: a stop."""
        self._last = frame(reply)
        self.link.send(self._last)

    def error(self, refused: Refused) -> bytes:
        """The reply that refuses."""
        if self.words:
            return b"E." + _UNPLAIN.sub(b"?", refused.text.encode("ascii", "replace"))
        return b"E%02x" % (refused.number & 0xFF or 1)
