"""The board and the debugger over the host provider."""

import tempfile
from pathlib import Path

import guestdbg
from guestdbg.check import assembler as asm
from guestdbg.debugger import Unsupported
from guestdbg.kvm import Kvm, SupportsCodeChanged, open_kvm
from guestdbg.machine import Board

from .rig import case

BASE = 0x40080000


def load(*items: object, **options: object) -> guestdbg.Guest:
    """A raw guest of these instructions."""
    code = asm.assemble(BASE, *items)  # type: ignore[arg-type]
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        Path(file.name).write_bytes(b"".join(word.to_bytes(4, "little") for word in code.words))
        return guestdbg.load(
            file.name,
            kind="raw",
            address=BASE,
            memory="16M",
            console=None,
            **options,  # type: ignore[arg-type]
        )


def counter(rounds: int) -> list[object]:
    """Adds 1 to 0x40001000 ``rounds`` times, then powers off."""
    return [
        *asm.mov(1, 0x40001000),
        *asm.mov(2, rounds),
        asm.label("again"),
        asm.ldr(0, 1),
        asm.add(0, 0, 1),
        asm.str_(0, 1),
        asm.subs(2, 2, 1),
        asm.b_cond("ne", "again"),
        *asm.mov(0, 0x84000008),
        asm.hvc(),
    ]


@case
def auto_is_the_host_here() -> None:
    kvm: Kvm = open_kvm("auto")
    assert kvm.provider == "host"
    kvm.close()
    with load(*counter(1)) as guest:
        assert guest.board.kvm.provider == "host"


@case
def watches_with_old_and_new_values() -> None:
    with load(*counter(50)) as guest:
        seen = []
        guest.watch(0x40001000, 8, access="write")(lambda hit: seen.append((hit.old, hit.new)))
        stop = guest.run(timeout=30)
        assert stop.reason == "exit", stop
        assert seen == [(n, n + 1) for n in range(50)]


@case
def conditions_are_decided_in_python() -> None:
    with load(*counter(60)) as guest:
        watch = guest.watch(0x40001000, 8, access="write", when=guestdbg.cond("new == 41"))
        watch(lambda hit: guestdbg.STOP)
        stop = guest.run(timeout=30)
        assert stop.hit is not None, stop
        assert (stop.hit.old, stop.hit.new) == (40, 41)
        assert guest.vcpus[0].x[2] == 20


@case
def breakpoints_steps_and_registers() -> None:
    with load(*counter(5)) as guest:
        point = guest.break_(BASE + 0x14)
        for n in range(5):
            stop = guest.run(timeout=30)
            assert stop.reason == "hit", stop
            assert guest.vcpus[0].pc == BASE + 0x14
            assert guest.vcpus[0].x[0] == n + 1
        point.delete()
        before = guest.vcpus[0].pc
        for _ in range(3):
            assert guest.step(timeout=30).reason == "step"
        assert guest.vcpus[0].pc != before
        assert guest.run(timeout=30).reason == "exit"


@case
def a_guest_that_never_stops_is_timed_out() -> None:
    for words in ([asm.b(0)], [0xD503207F, asm.b(-4)]):  # b .; wfi in a loop
        with load(*words) as guest:
            assert guest.run(timeout=0.3).reason == "timeout"
            assert guest.run(timeout=0.3).reason == "timeout"


@case
def what_only_the_other_provider_has_is_refused_in_words() -> None:
    with load(*counter(5)) as guest:
        for call in (lambda: guest.run(max_instructions=10), lambda: guest.snapshot()):
            try:
                call()
            except guestdbg.GuestdbgError as error:
                assert "provider" in str(error), error
                assert isinstance(error, (Unsupported, guestdbg.GuestdbgError))
            else:
                raise AssertionError("not refused")


@case
def as_many_points_as_the_processor_has() -> None:
    """One more than there are registers is refused, and says how many there are."""
    with load(*counter(5)) as guest:
        limit = guest.board.vm.check_extension(119)
        for n in range(limit):
            guest.break_(BASE + 0x100 + 4 * n, kind="hardware")
        try:
            guest.break_(BASE + 0x200, kind="hardware")
        except guestdbg.GuestdbgError as error:
            assert f"this guest has {limit}" in str(error), error
        else:
            raise AssertionError("one too many was taken")
        assert guest.run(timeout=30).reason == "exit"


@case
def boards_are_closed_whole() -> None:
    for _ in range(5):
        with open_kvm("host") as kvm, Board(kvm, vcpus=3) as board:
            assert len(board.vcpus) == 3
            board.map_flash()


@case
def software_breakpoints_where_the_caches_allow_them() -> None:
    """Any number of them; each stops, is stepped, and is not visible in memory."""
    with load(*counter(3)) as guest:
        if not isinstance(guest.board.vm, SupportsCodeChanged):
            return
        limit = guest.board.vm.check_extension(119)
        before = guest.read(BASE, 64)
        loop = BASE + 4 * len([*asm.mov(1, 0x40001000), *asm.mov(2, 3)])
        places = [loop + 4 * n for n in range(5)] + [BASE + 0x800 + 4 * n for n in range(limit)]
        for place in places:
            guest.break_(place, kind="software")
        assert guest.read(BASE, 64) == before
        stops = []
        while (stop := guest.run(timeout=30)).reason == "hit":
            stops.append(guest.vcpus[0].pc)
        assert stop.reason == "exit", stop
        assert stops == places[:5] * 3
