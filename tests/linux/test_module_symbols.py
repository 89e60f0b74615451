"""Modules that are loaded and unloaded: their names, and breakpoints in them."""

from __future__ import annotations

import pytest

from guestdbg.debugger import UnknownSymbol

from .shell import SECONDS, Shell
from .support import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

UNLOAD, LOAD = "rmmod overlay; echo gone", b"insmod /modules/overlay.ko"


def kallsyms(shell: Shell, module: str) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for line in shell.ask(f"grep '.{module}.$' /proc/kallsyms").splitlines():
        address, letter, name, _ = line.split()
        if letter in "tTbBdDrR" and name[0] not in "$_.":
            found.setdefault(name, set()).add(int(address, 16))
    return found


def test_their_symbols_are_those_of_proc_kallsyms(bookworm: Shell) -> None:
    shell, guest = bookworm, bookworm.guest
    known = kallsyms(shell, "overlay")
    assert len(known) > 100
    for name in sorted(known)[::9]:
        addresses = known[name]
        here = {s.address for s in guest.linux.module_symbols.named(f"overlay:{name}")}
        assert here == addresses, name
    lookup = guest.symbol("ovl_lookup")
    assert guest.locate(lookup.address + 8).symbolic == "ovl_lookup+0x8"
    assert lookup.size > 100
    with pytest.raises(UnknownSymbol, match="ovl_lookup"):
        guest.symbol("ovl_lokup")


def test_a_breakpoint_waits_for_its_module(shell: Shell) -> None:
    guest = shell.guest
    free = guest.hardware.breakpoints
    assert shell.ask(UNLOAD) == "gone\n"
    assert not guest.linux.module_symbols.named("ovl_lookup")
    init = guest.break_("overlay:init_module")
    later = guest.break_("overlay:ovl_lookup+4", kind="software")
    other = guest.break_("no_such_module:init_module")
    assert (init.addresses, init.placed, init.address) == ((), False, 0)
    shell.type(LOAD)
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.point is init
    assert guest.linux.modules()[0].state == "coming"
    functions = [frame.location.function for frame in stop.cpu.backtrace()]
    assert functions.index("do_one_initcall") < functions.index("do_init_module")
    shell.to_prompt()
    lookup = guest.symbol("ovl_lookup").address
    assert later.addresses == (lookup + 4,)
    assert not other.placed
    # Its code has gone: so have the breakpoints in it, and the guest is not stopped there.
    assert shell.ask(UNLOAD) == "gone\n"
    assert (init.addresses, later.addresses) == ((), ())
    assert guest.locate(lookup).function is None
    for point in (init, later, other):
        point.delete()
    shell.type(LOAD)
    shell.to_prompt()
    assert guest.symbol("ovl_lookup")
    taken = [guest.break_(0x1000 + 4 * n) for n in range(free)]
    assert {point.kind for point in taken} == {"hardware"}


def test_a_plain_name_in_a_loaded_module_comes_and_goes_with_it(bookworm: Shell) -> None:
    shell, guest = bookworm, bookworm.guest
    point = guest.break_("ovl_mount")
    assert point.addresses == (guest.symbol("ovl_mount").address,)
    snapshot = guest.snapshot()
    shell.ask(UNLOAD)
    assert not point.placed
    shell.ask(LOAD.decode())
    assert point.addresses == (guest.symbol("ovl_mount").address,)
    shell.ask("mkdir /l /u /w /m")
    shell.type(b"mount -t overlay -o lowerdir=/l,upperdir=/u,workdir=/w x /m")
    stop = guest.run(timeout=SECONDS)
    assert stop.hit is not None
    assert stop.hit.point is point
    guest.restore(snapshot)
    assert point.addresses == (guest.symbol("ovl_mount").address,)


def test_points_made_before_the_boot(kernel: object) -> None:
    """The kernel moves itself first; its first module is then waited for."""
    with load(seed=7) as guest:
        point = guest.break_("virtio_ring:vring_create_virtqueue")
        init = guest.break_("virtio_mmio:init_module")
        assert not point.placed
        assert guest.why_unreachable(point) == "the module that it is in is not loaded"
        stop = guest.run(timeout=SECONDS)
        assert stop.hit is not None
        assert stop.hit.point is init
        assert guest.locate(point.address).symbolic == "vring_create_virtqueue"
        assert guest.why_unreachable(point) is None


def test_a_bpf_program(bookworm: Shell) -> None:
    """It is an entry in a list of the kernel's; nothing in this guest makes one."""
    linux = bookworm.guest.linux
    view = linux.state.view
    layout = view.layouts.struct("bpf_ksym")
    head = view.address("bpf_kallsyms")
    assert view.memory.u64(head) == head
    task = linux.task(1).address
    linear = task - view.memory.translate(task)
    pages = (0x4400_0000 + 4096 * n for n in range(4096))
    place = linear + next(at for at in pages if linux.page(at).owner == "free")
    name = b"bpf_prog_6deef7357e7b4530_filter"

    def write(address: int, data: bytes) -> None:
        bookworm.guest.execution.write_phys(view.memory.translate(address), data)

    code = place + 0x800
    write(place, bytes(layout.size))
    write(place + layout.field("start").offset, code.to_bytes(8, "little"))
    write(place + layout.field("end").offset, (code + 64).to_bytes(8, "little"))
    write(place + layout.field("name").offset, name)
    node = place + layout.field("lnode").offset
    write(node, head.to_bytes(8, "little") * 2)
    write(head, node.to_bytes(8, "little") * 2)
    assert bookworm.guest.symbol(name.decode()).address == code
    assert bookworm.guest.locate(code + 4).symbolic == f"{name.decode()}+0x4"
