"""Clients that send anything, to a real session over real guests.

There are two equal guests. One session gets all packets; the other gets only those that the first
one did not refuse, without queries. Afterwards both guests and both sessions must be equal in every
register, byte, point and count: a refused packet and a query change nothing.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import fuzz_packet_words
from fuzz_case import Failure
from fuzz_shrink import shrunk

import guestdbg.gdb.session_state
from guestdbg.debugger import Guest, Stop, load
from guestdbg.debugger.execution import ResumeAction
from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.gdb.connection import Hangup
from guestdbg.gdb.end_reason import EndReason
from guestdbg.gdb.packets import MAX_PACKET, Mark, Packet, PacketEvent
from guestdbg.gdb.session import Session
from guestdbg.kvm.regs import name_of

EXAMPLES = Path(__file__).parents[1] / "examples"
PACKETS = 1000
#: Examples, and their vCPUs.
GUESTS = (("counter", 1), ("smp", 2), ("mmu", 1))
MEMORY = 4 << 20
RAM = 0x4000_0000

# Instructions after which a run is interrupted, one after the other.
_RUNS = (20, 0, 100, 1, 5, 3)
_ASKS = re.compile(
    rb"[mxpgT]|qC|q[fs]ThreadInfo|qThreadExtraInfo|qXfer|qOffsets|qAttached|qHostInfo|qProcessInfo"
    rb"|qSearch"
    rb"|qGDBServerVersion|qRegisterInfo|qWatchpointSupportInfo|qMemoryRegionInfo|jThreadsInfo"
    rb"|vCont\?|qSymbol|qqemu\.[A-Za-z]+\Z"
)
#: These may be answered later, or not at all.
_LATER = (b"c", b"C", b"s", b"S", b"vCont", b"R", b"k", b"vCtrlC", b"vStopped")
_SENT = re.compile(rb"[+-]|[$%]([^#$]*)#([0-9a-f]{2})")
# One packet, or what is between two.
_SINGLE = re.compile(rb"\$[^$#]*#..|[^$]+|\$[^$#]*", re.DOTALL)
_ERROR = re.compile(rb"E([0-9a-f]{2}|\.[^#$*}\x00-\x1f]*)\Z")


class FakeConnection:
    """A connection without a socket. ``gone``: the client has hung up."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.sent = bytearray()
        self.gone = False

    def receive(self) -> bytes:
        if not self.pieces:
            raise Hangup
        return self.pieces.pop(0)

    def send(self, data: bytes) -> None:
        if self.gone:
            raise Hangup
        self.sent += data

    @property
    def has_input(self) -> bool:
        return bool(self.pieces) or self.gone

    def wait(self) -> None:
        """There is nothing to wait for."""

    @contextlib.contextmanager
    def watched(self, *, periodic: bool = False) -> Iterator[None]:
        yield

    def close(self) -> None:
        """Nothing to close."""


def refused(reply: bytes | None) -> bool:
    return reply is not None and (not reply or _is_error(reply) or reply[:3] == b"F-1")


def _is_error(reply: bytes) -> bool:
    """The reply to qemu.sstepbits begins with the letter of errors."""
    return reply[:1] == b"E" and not reply.startswith(b"ENABLE=")


class Tracked(Session):
    """A session that keeps the packets it has accepted."""

    def __init__(self, guest: Guest) -> None:
        self.fake = FakeConnection()
        self.accepted: list[bytes] = []
        self.did: Counter[str] = Counter()
        super().__init__(guest, self.fake)  # type: ignore[arg-type]

    def _process(self, event: PacketEvent) -> None:
        if event is Mark.INTERRUPT:
            self.accepted.append(b"\x03")
        elif not isinstance(event, Packet):
            self.did["damaged" if not isinstance(event, Mark) else "mark"] += 1
        super()._process(event)

    def execute(self, packet: bytes) -> bytes | None:
        before = len(self.fake.sent)
        reply = super().execute(packet)
        if reply is None:
            if len(self.fake.sent) == before and not packet.startswith(_LATER):
                raise Failure(f"{packet!r} is not answered")
        elif _is_error(reply) and not _ERROR.match(reply):
            raise Failure(f"the error reply to {packet!r} is {reply!r}")
        if refused(reply):
            self.did["refused"] += 1
        else:
            self.did["accepted"] += 1
            if not _ASKS.match(packet):
                self.accepted.append(fuzz_packet_words.packet_with(packet))
        return reply

    def proceed(self) -> None:
        """One turn of the session's loop."""
        if self.threads.resume_actions:
            self.did["runs"] += 1
            self._run()
        else:
            self._receive()

    def leave(self) -> None:
        """The client hangs up."""
        self.fake.pieces.clear()
        self.fake.gone = True
        self.serve()

    def check_sent(self) -> None:
        """What it sent is packets and acknowledgements, complete and not too long."""
        at, sent = 0, bytes(self.fake.sent)
        while at < len(sent):
            match = _SENT.match(sent, at)
            if match is None:
                raise Failure(f"it sent {sent[at : at + 80]!r}, which is not a packet")
            body = match[1]
            if body is not None and sum(body) & 0xFF != int(match[2], 16):
                raise Failure(f"it sent {match[0][:80]!r}, whose checksum is wrong")
            if body is not None and len(body) > MAX_PACKET:
                raise Failure(f"it sent a packet of {len(body)} bytes")
            at = match.end()
        self.fake.sent.clear()


def _limited(guest: Guest) -> None:
    """Interrupt runs after some instructions, as a client's input does, but reproducibly."""
    resume = guest.resume
    runs: Iterator[int] = iter(())

    def limited(actions: Mapping[int, ResumeAction]) -> Stop:
        nonlocal runs
        most = next(runs, None)
        if most is None:
            runs = iter(_RUNS)
            most = next(runs)
        stop = resume(actions, max_instructions=most)
        return guest.execution.stop("interrupt") if stop.reason == "limit" else stop

    def again() -> None:
        nonlocal runs
        runs = iter(())

    setattr(guest, "resume", limited)  # noqa: B010
    setattr(guest, "begin_again", again)  # noqa: B010


class World:
    """Two equal guests, and their snapshots from the beginning."""

    def __init__(self, name: str, vcpus: int) -> None:
        self.name = (name, vcpus)
        self.guests = [
            load(
                EXAMPLES / f"{name}.elf", provider="soft", console=None, memory=MEMORY, vcpus=vcpus
            )
            for _ in range(2)
        ]
        # Run past the start-up code, into the program itself.
        for guest in self.guests:
            guest.run(max_instructions=400)
            _limited(guest)
        self._start = [guest.snapshot() for guest in self.guests]
        symbols = self.guests[0].images[0].symbols
        self.code = [s.address for s in symbols if s.kind is SymbolKind.FUNCTION]
        self.data = [s.address for s in symbols if s.kind is SymbolKind.OBJECT]

    def begin(self) -> None:
        for guest, start in zip(self.guests, self._start, strict=True):
            for point in list(guest.points):
                point.delete()
            guest.restore(start)
            guest.begin_again()  # type: ignore[attr-defined]

    def close(self) -> None:
        for guest in self.guests:
            guest.close()


@cache
def world(name: str, vcpus: int) -> World:
    return World(name, vcpus)


def _registers(guest: Guest) -> list[int]:
    return [vcpu.get_one_reg(reg) for vcpu in guest.board.vcpus for reg in vcpu.get_reg_list()]


def _state(session: Tracked) -> dict[str, Any]:
    guest, threads = session.guest, session.threads
    found: dict[str, Any] = {
        "instructions": [vcpu.instructions for vcpu in guest.board.vcpus],  # type: ignore[attr-defined]
        "armed": guest.execution.armed,
        "points": sorted(
            (point.name, point.hits, str(point.when), point.handler is not None)
            for point in guest.points
            if point.enabled
        ),
        "breakpoints": sorted(key for key, _ in session.breakpoints),
        "watches": sorted(session.monitor_watches),
        "events": {n: (e.signal, e.reason) for n, e in threads.stop_events.items()},
        "queue": [(e.index, e.signal, e.reason) for e in threads.stop_queue],
    }
    for name in ("general", "resumed_by_c", "non_stop", "resume_actions"):
        found[name] = getattr(threads, name)
    for name in (
        "acknowledges",
        "multiprocess",
        "error_messages",
        "detached",
        "end_reason",
        "exit_reply",
        "open_files",
        "forward_console",
        "features",
        "physical_memory",
        "step_flags",
    ):
        found[name] = getattr(session, name)
    return found


_WHY = "after all packets; without the refused ones and the queries it is"


def _compare(first: Tracked, second: Tracked) -> None:
    ours, theirs = _registers(first.guest), _registers(second.guest)
    if ours != theirs:
        names = [reg for vcpu in first.guest.board.vcpus for reg in vcpu.get_reg_list()]
        at = next(n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
        raise Failure(f"{name_of(names[at])} is {ours[at]:#x} {_WHY} {theirs[at]:#x}")
    one, other = _state(first), _state(second)
    for name, value in one.items():
        if value != other[name]:
            raise Failure(f"{name}: {value!r:.300} {_WHY} {other[name]!r:.300}")


def _compare_memory(guests: Sequence[Guest]) -> None:
    one, other = (guest.execution.read_phys(RAM, MEMORY) for guest in guests)
    if one != other:
        at = next(n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
        raise Failure(
            f"memory at {RAM + at:#x} is {one[at : at + 8].hex()} {_WHY} {other[at : at + 8].hex()}"
        )


@contextlib.contextmanager
def _defects_come_out() -> Iterator[None]:
    """Raise defects of the server, which the session otherwise catches and logs."""

    def again(*what: object) -> None:
        raise

    log = guestdbg.gdb.session_state.log
    setattr(log, "exception", again)  # noqa: B010
    try:
        yield
    finally:
        delattr(log, "exception")


def play(place: World, pieces: Sequence[bytes], did: Counter[str]) -> None:
    """Send these pieces to the sessions. Raises Failure, and any error of the sessions."""
    with _defects_come_out():
        _play(place, pieces, did)


def _play(place: World, pieces: Sequence[bytes], did: Counter[str]) -> None:
    place.begin()
    first, second = (Tracked(guest) for guest in place.guests)
    for n, piece in enumerate(pieces):
        if first.end_reason is not None:
            _leave(first, second)
            did.update(first.did)
            first, second = (Tracked(guest) for guest in place.guests)
        first.fake.pieces.append(piece)
        turns = 0
        while first.fake.pieces and first.end_reason is None:
            turns += 1
            if turns > 1000:
                raise Failure("a thousand turns without reading its input")
            waiting = len(first.fake.pieces)
            first.proceed()
            if len(first.fake.pieces) < waiting:
                second.fake.pieces.append(b"".join(first.accepted))
                first.accepted.clear()
            second.proceed()
        first.check_sent()
        second.fake.sent.clear()
        if n % 200 == 0:
            _compare(first, second)
    _compare(first, second)
    _leave(first, second)
    _compare_memory(place.guests)
    did.update(first.did)


def _leave(first: Tracked, second: Tracked) -> None:
    for session in (first, second):
        if session.end_reason is None:
            session.leave()
        else:
            session.remove_points()
            if session.end_reason is EndReason.KILLED:
                session.guest.reset()
        session.accepted.clear()
    _compare(first, second)


def pieces_of(seed: int) -> tuple[World, list[bytes], int]:
    rng = random.Random(f"packets/{seed}")
    place = world(*rng.choice(GUESTS))
    words = fuzz_packet_words.Words(rng, place.code, place.data)
    return place, *fuzz_packet_words.pieces(words, PACKETS)


def _fails(place: World, pieces: Sequence[bytes]) -> str | None:
    """The failure with these pieces; None if there is none."""
    try:
        play(place, pieces, Counter())
    except Exception as error:
        world.cache_clear()  # its state after the failure is unknown
        return f"{type(error).__name__}: {error}"
    return None


def run(seed: int, did: Counter[str]) -> int:
    """Some hundred packets; returns their number. Raises Failure with the smallest failure."""
    place, pieces, count = pieces_of(seed)
    try:
        play(place, pieces, did)
    except Exception as error:
        world.cache_clear()
        kind = type(error).__name__
        name = next(
            n for n in GUESTS if (EXAMPLES / f"{n[0]}.elf") == place.guests[0].images[0].path
        )

        def fails(some: Sequence[bytes]) -> bool:
            return (_fails(world(*name), some) or "").startswith(kind)

        singly = _SINGLE.findall(b"".join(pieces))
        small = shrunk(singly if fails(singly) else pieces, fails)
        # What is left may fail one packet at a time, where all of them did not.
        singly = _SINGLE.findall(b"".join(small))
        small = shrunk(singly, fails) if singly and fails(singly) else small
        raise Failure(f"{kind}: {error}\nto {name[0]}, the pieces: {small!r}") from error
    did["packets"] += count
    return count
