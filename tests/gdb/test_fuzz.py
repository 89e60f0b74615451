"""Packets that no client would send: no crash, no hang, no damage to the guest.

The cases are those of tools/fuzz.py, by their seeds. A failing one is reported with its seed,
and reduced: `python tools/fuzz.py --plain --replay packets:SEED`.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from guestdbg.gdb.packets import frame
from tests.gdb.rsp_client import SECONDS, Served, Wire, served

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fuzz  # noqa: E402
import fuzz_framing  # noqa: E402
import fuzz_packets  # noqa: E402
import fuzz_shrink  # noqa: E402
from fuzz_case import Failure  # noqa: E402

SEED = int(os.environ.get("GUESTDBG_FUZZ_SEED", "20261122"))
PACKETS = 350_000
#: Cases of each kind; `make soak` has 5,000 of each.
CASES = {"packets": 300, "framing": 120}


def environment() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hundreds_of_thousands_of_packets() -> None:
    """Each to a session over a real guest, or to the framing and its model."""
    print(f"seeds from {SEED} on")
    did: Counter[str] = Counter()
    for kind, cases in CASES.items():
        outcome = fuzz.run(environment(), kind, SEED, cases, os.cpu_count() or 1)
        assert not outcome.failures, outcome.output
        assert outcome.cases == cases, kind
        did.update(outcome.did)
    assert did["packets"] >= PACKETS, did
    # Each kind was covered often.
    for what in ("accepted", "refused", "damaged", "mark", "runs"):
        assert did[what] >= 10_000, did


# ---- defects that it must find ----------------------------------------------------------------


def several(run: Callable[[int, Counter[str]], int]) -> None:
    for seed in range(100):
        run(seed, Counter())


def test_a_refused_packet_that_changes_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from guestdbg.gdb.handlers.registry import HANDLERS

    write = HANDLERS[b"P"]

    def careless(session: fuzz_packets.Tracked, rest: bytes) -> bytes | None:
        if rest.startswith(b"7"):
            session.context.cpu.x[7] = 7
        return write(session, rest)

    monkeypatch.setitem(HANDLERS, b"P", careless)
    with pytest.raises(Failure, match=r"x7.* is 0x7 after all packets") as failure:
        several(fuzz_packets.run)
    small = str(failure.value).partition("the pieces: ")[2]
    assert small.count("#") == 1, "one packet reproduces it"


def test_a_handler_that_fails_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from guestdbg.gdb.handlers.registry import HANDLERS

    monkeypatch.setitem(HANDLERS, b"qC", lambda session, rest: bytes(int(rest or b"0")))
    with pytest.raises(Failure, match="ValueError"):
        several(fuzz_packets.run)


def test_framing_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guestdbg.gdb.packets._COUNT_BIAS", 28)
    with pytest.raises(Failure, match="must be"):
        several(fuzz_framing.run)


def test_failures_are_shrunk() -> None:
    assert fuzz_shrink.shrunk(range(100), lambda some: 17 in some and 80 in some) == [17, 80]


# ---- over real sockets ------------------------------------------------------------------------


class Rude:
    """A client that sends malformed and random data."""

    def __init__(self, path: str, rng: random.Random) -> None:
        self.rng = rng
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(path)

    def say(self, data: bytes) -> None:
        """Send as much as the server receives."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.socket.close()

    def leave(self) -> None:
        self.socket.close()

    def nothing(self) -> None:
        """Only looks whether anybody is there."""

    def half(self) -> None:
        packet = frame(b"m40200000,%x" % self.rng.randrange(4000))
        self.say(packet[: self.rng.randrange(1, len(packet))])

    def half_while_it_runs(self) -> None:
        self.say(frame(b"vCont;c"))
        self.half()

    def runs(self) -> None:
        self.say(frame(b"vCont;c"))

    def flood(self) -> None:
        """Questions by the thousand, and no ear for the answers."""
        self.socket.settimeout(0.05)
        self.say(frame(b"g") * self.rng.choice((10, 3000)))

    def flood_of_interrupts(self) -> None:
        self.say(frame(b"vCont;c") + b"\x03" * self.rng.choice((1, 5000)))

    def noise(self) -> None:
        self.say(self.rng.randbytes(self.rng.choice((10, 1000, 100_000))))

    def endless(self) -> None:
        """A packet that is too long, and has no end."""
        self.socket.settimeout(5)
        self.say(b"$m" + b"0" * 400_000)

    def refuses_everything(self) -> None:
        self.say(frame(b"?") + b"-" * 1000)

    def closes_its_ear(self) -> None:
        self.socket.shutdown(socket.SHUT_RD)
        self.say(frame(b"g") * 50)

    def closes_its_mouth(self) -> None:
        self.say(frame(b"?"))
        self.socket.shutdown(socket.SHUT_WR)

    HOW = (
        nothing, half, half_while_it_runs, runs, flood, flood_of_interrupts, noise, endless,
        refuses_everything, closes_its_ear, closes_its_mouth,
    )  # fmt: skip


def client(here: Served) -> Wire:
    """A client as it should be, as soon as the server has done with the one before."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            wire = here.client()
        except (OSError, EOFError, AssertionError):
            wire = None
        if wire is not None:
            wire.send(b"qC")
            try:
                if wire.reply() == b"QC1":
                    return wire
            except (OSError, EOFError):
                pass
            wire.close()
        assert time.monotonic() < end, "the server does not serve any more"
        time.sleep(0.02)


def test_malformed_clients_and_then_a_correct_one(tmp_path: Path) -> None:
    """Whatever a client does, the next one is served, and the guest is stopped where it was."""
    rng = random.Random(SEED)
    with served(tmp_path, "loop-endless") as here:
        for number in range(4 * len(Rude.HOW)):
            rude = Rude(here.path, rng)
            Rude.HOW[number % len(Rude.HOW)](rude)
            if rng.random() < 0.3:
                # Another client at the same time is refused without any effect.
                second = Rude(here.path, rng)
                rng.choice((second.nothing, second.half, second.noise))()
                second.leave()
            rude.leave()
            with client(here) as wire:
                registers = wire.ask(b"g")
                assert len(registers) == 2 * (33 * 8 + 4)
                assert wire.ask(b"g") == registers, "it is stopped"
                assert wire.ask(b"P5=%016x" % number) == b"OK"
                assert wire.ask(b"p5") == b"%016x" % number


def test_a_client_that_does_not_read_does_not_block_the_next(tmp_path: Path) -> None:
    """A client that reads so slowly that the server waits for it still can disconnect."""
    with served(tmp_path, "counter") as here:
        slow = Rude(here.path, random.Random(SEED))
        slow.socket.settimeout(1)
        slow.say(frame(b"m40200000,4000") * 2000)
        # The server cannot send any more, but it still notices the disconnection.
        waiting = threading.Timer(0.2, slow.leave)
        waiting.start()
        with client(here) as wire:
            assert wire.ask(b"m40200000,4")
        waiting.join()


def test_bytes_one_by_one_and_all_at_once(tmp_path: Path) -> None:
    with served(tmp_path, "counter") as here, client(here) as wire:
        for byte in frame(b"m40200000,8") * 20:
            wire.socket.sendall(bytes((byte,)))
        one_by_one = {wire.reply() for _ in range(20)}
        wire.socket.sendall(frame(b"m40200000,8") * 3000)
        at_once = {wire.reply() for _ in range(3000)}
        assert len(one_by_one | at_once) == 1
