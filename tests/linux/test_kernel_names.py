"""The names of Debian's 6.1 in the debugger: before the MMU is on, through KASLR, at run time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import guestdbg
from guestdbg.debugger import Guest, OutOfRegisters, UnknownSymbol, Unsupported
from guestdbg.kvm import open_kvm
from guestdbg.linux import BadKallsyms, NoKernel
from guestdbg.linux.kallsyms import Kallsyms
from guestdbg.machine import Board, load

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

RAM = 0x4000_0000
LINKED = 0xFFFF_8000_0800_0000


def booting(kernel: Path, seed: int | None = None, bootargs: str = "") -> Guest:
    """A guest with the kernel, which moves itself if there is a seed for it."""
    kvm = open_kvm("soft")
    board = Board(kvm, memory_size=256 << 20, bootargs=bootargs, seed=seed)
    segment = load(board, kernel).segments[0]
    return Guest(
        board,
        on_close=kvm.close,
        reload=lambda: load(board, kernel),
        linux_image=(segment.address, segment.file_size),
    )


@pytest.fixture(params=[None, 1, 2], ids=["no seed", "seed 1", "seed 2"])
def guest(kernel: Path, request: pytest.FixtureRequest) -> Iterator[Guest]:
    with booting(kernel, request.param) as guest:
        guest.moves = request.param is not None  # type: ignore[attr-defined]
        yield guest


def test_points_at_names_move_with_the_kernel(guest: Guest) -> None:
    start = guest.break_("start_kernel")
    switched = guest.break_("__primary_switched+8")
    never = guest.break_("panic", when="x0 == 1")
    by_number = guest.break_(LINKED + 0x10000)
    watch = guest.watch("start_kernel", 4)
    linked = start.address
    assert guest.linux.address == guest.linux.link_address == LINKED
    assert not guest.linux.is_relocated
    assert guest.linux.slide == 0

    stop = guest.run(timeout=60)
    assert stop.hit is not None
    assert stop.hit.point is switched
    stop = guest.run(timeout=60)
    assert stop.hit is not None
    assert stop.hit.point is start
    assert stop.location.symbolic == "start_kernel"
    assert [f.location.function for f in stop.cpu.backtrace()] == [
        "start_kernel",
        "__primary_switched",
    ]

    slide = guest.linux.slide
    assert (slide != 0) == guest.moves  # type: ignore[attr-defined]
    assert slide % (2 << 20) == 0
    assert guest.linux.is_relocated
    assert start.address == watch.address == linked + slide == stop.pc
    assert never.address == guest.symbol("panic").address
    assert by_number.address == LINKED + 0x10000
    assert {p.number for p in guest.points} == {
        p.number for p in (start, switched, never, by_number, watch)
    }
    # What the tables say is what the kernel has mapped.
    physical = guest.linux.physical("start_kernel")
    assert guest.translate(stop.pc) == physical
    assert guest.linux.physical(stop.pc) == physical
    assert guest.linux.physical_address == RAM + (2 << 20)


def test_a_reset_takes_points_back_and_a_snapshot_where_it_was(guest: Guest) -> None:
    start = guest.break_("start_kernel")
    linked = start.address
    before = guest.snapshot()
    assert guest.run(timeout=60).pc == start.address
    moved = start.address
    after = guest.snapshot()
    guest.reset()
    assert (start.address, guest.linux.is_relocated) == (linked, False)
    guest.restore(after)
    assert (start.address, guest.linux.is_relocated) == (moved, True)
    guest.restore(before)
    assert (start.address, guest.linux.is_relocated) == (linked, False)
    assert guest.run(timeout=60).pc == moved == start.address
    guest.reset()
    assert guest.run(timeout=60).pc == moved == start.address


def test_code_before_the_mmu_is_on_has_names(guest: Guest) -> None:
    entry = guest.break_("primary_entry")
    switch = guest.break_("__primary_switch")
    assert guest.locate(guest.linux.physical("panic")).function == "panic"
    stop = guest.run(timeout=60)
    assert stop.pc == entry.address == guest.linux.physical("primary_entry")
    assert stop.location.symbolic == "primary_entry"
    assert guest.step(2).location.function == "preserve_boot_args"
    stop = guest.run(timeout=60)
    assert (stop.pc, stop.location.symbolic) == (switch.address, "__primary_switch")
    guest.break_("start_kernel")
    guest.run(timeout=60)
    # Now these addresses may be a program's; the code that resumes other CPUs keeps its names.
    assert guest.locate(guest.linux.physical("panic")).function is None
    assert guest.locate(switch.address).function == "__primary_switch"


def test_without_registers_the_points_move_at_the_next_stop(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with booting(kernel, seed=3) as guest:

        def refuse() -> None:
            raise Unsupported("no BRK can be used here")

        taken = [guest.break_(RAM + 4 * n) for n in range(guest.hardware.breakpoints - 1)]
        monkeypatch.setattr(guest.points.software._memory, "check_patchable", refuse)
        start = guest.break_("start_kernel")
        assert "KASLR" in caplog.text
        with pytest.raises(OutOfRegisters):
            guest.break_("panic")
        linked = start.address
        for point in taken:
            point.delete()
        guest.run(max_instructions=30_000_000)
        assert guest.linux.slide != 0
        assert start.address == linked + guest.linux.slide


def test_nokaslr(kernel: Path) -> None:
    with booting(kernel, seed=1, bootargs="nokaslr") as guest:
        start = guest.break_("start_kernel")
        assert guest.run(timeout=60).pc == start.address
        assert (guest.linux.slide, guest.linux.is_relocated) == (0, True)


def test_a_kernel_that_runs_already_is_found(kernel: Path) -> None:
    """As after firmware: nothing is known of an Image."""
    with booting(kernel, seed=4) as guest:
        start = guest.break_("start_kernel")
        guest.run(timeout=60)
        other = Guest(guest.board)
        found = other.linux
        assert found is other.linux
        assert found.physical_address == guest.linux.physical_address
        assert found.address == guest.linux.address
        assert found.is_relocated
        assert found.release == guest.linux.release
        assert found.link_address is None
        with pytest.raises(NoKernel, match="not known where the kernel was linked"):
            _ = found.slide
        assert other.symbol("start_kernel").address == start.address
        assert list(found.kallsyms) == list(guest.linux.kallsyms)


def test_names_that_several_functions_have(kernel: Path) -> None:
    tables = Kallsyms(kernel.read_bytes())
    names = [s.name for s in tables if s.is_code]
    name = next(n for n in sorted(set(names)) if 2 <= names.count(n) <= 4)
    with booting(kernel) as guest:
        symbols = guest.linux.symbols(name)
        assert len(symbols) == names.count(name)
        assert guest.break_(name).addresses == tuple(s.address for s in symbols)


def test_messages(kernel: Path) -> None:
    with booting(kernel) as guest:
        with pytest.raises(UnknownSymbol, match="start_kernel"):
            guest.break_("start_kernle")
        with pytest.raises(NoKernel, match="is not in the kernel"):
            guest.linux.physical(0x1000)
        assert guest.linux.release.endswith("-cloud-arm64")
        assert repr(guest.linux) == "<Linux at 0x40200000, not relocated>"
    with guestdbg.load("examples/queue.elf", console=None) as guest:
        with pytest.raises(NoKernel, match="no header of an arm64 Image"):
            _ = guest.linux
        assert guest.locate(guest.symbol("main").address).function == "main"


def test_a_kernel_without_kallsyms_runs_all_the_same(
    kernel: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = bytearray(kernel.read_bytes())
    digits = b"".join(bytes([c, 0]) for c in b"0123456789")
    at = -1
    while (at := image.find(digits, at + 1)) >= 0:
        image[at] = 0x20
    with guestdbg.load(bytes(image), console=None) as guest:
        with pytest.raises(UnknownSymbol):
            guest.break_("panic")
        assert caplog.text.count("have no names: no symbols: no kallsyms token table") == 1
        assert guest.locate(RAM + (3 << 20)).function is None
        with pytest.raises(BadKallsyms, match="CONFIG_KALLSYMS"):
            _ = guest.linux.kallsyms
        assert guest.run(max_instructions=1000).reason == "limit"
