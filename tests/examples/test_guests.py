"""The other examples in the debugger: what docs/examples.md says about them."""

import pytest

import guestdbg
from guestdbg.machine import Console
from tests.machine.guests import OUTPUT, guest


def on_processors(count: int) -> tuple[guestdbg.Guest, bytearray]:
    output = bytearray()
    console = Console(output.extend)
    return guestdbg.load(guest("smp"), vcpus=count, console=console), output


def functions(hit: guestdbg.Hit) -> list[str | None]:
    return [frame.location.function for frame in hit.backtrace()]


def test_a_backtrace_ends_where_an_exception_came_in() -> None:
    """The interrupted code is not a caller; the entry code says so in its frame information."""
    with guestdbg.load(guest("mmu"), console=None) as machine:
        machine.break_("serve")
        stop = machine.run(timeout=60)
        assert stop.hit is not None
        assert functions(stop.hit) == ["serve", "exception", "save"]


def test_el0_code_has_no_callers_and_its_own_addresses() -> None:
    with guestdbg.load(guest("mmu"), console=None) as machine:
        machine.break_("user_loop")
        stop = machine.run(timeout=60)
        assert stop.hit is not None
        assert stop.hit.pc == 0x40000C
        assert functions(stop.hit) == ["user_loop"]


def test_a_variable_in_the_upper_half_is_watched_by_its_virtual_address() -> None:
    writers = []
    with guestdbg.load(guest("mmu"), console=None) as machine:
        watch = machine.watch("syscalls")

        @watch
        def wrote(hit: guestdbg.Hit) -> None:
            writers.append((hit.location.function, hit.old, hit.new))

        assert machine.run(timeout=60).reason == "exit"
    # The first is the start code, which clears .bss through the same mapping.
    assert writers == [("upper", 0, 0), ("serve", 0, 1), ("serve", 1, 2)]


def test_a_guest_that_debugs_itself_works_without_a_debugger() -> None:
    """Without guest debugging from outside, it owns its debug registers."""
    output = bytearray()
    with guestdbg.load(guest("selfdebug"), console=Console(output.extend)) as machine:
        assert machine.run(timeout=60).reason == "exit"
    assert bytes(output) == OUTPUT["selfdebug"]


#: What the guest does not get while userspace debugs it without KVM_GUESTDBG_USE_HW.
NOT_ITS_OWN = {
    "6.1": ["software step"],
    "6.14": [
        *("breakpoint", "watchpoint on a store", "watchpoint on a load"),
        *("watchpoint on selected bytes", "software step"),
    ],
}


@pytest.mark.parametrize("linux", NOT_ITS_OWN)
def test_a_guest_that_debugs_itself_gets_its_debug_exceptions(linux: str) -> None:
    """With a software breakpoint set, all its debug exceptions exit; each is injected again.

    If the guest has a breakpoint at the address of the debugger's BRK, both are reported; the
    debugger's also while PSTATE.D masks the guest's. Software step does not work: KVM masks it
    during guest debugging. Since Linux 6.14 the guest's registers are not in the hardware either.
    """
    output = bytearray()
    with guestdbg.load(
        guest("selfdebug"), provider="soft", linux=linux, console=Console(output.extend)
    ) as machine:
        breakpoint_ = machine.break_("target", kind="software")
        breakpoint_.handler = lambda hit: None
        assert machine.run(timeout=60).reason == "exit"
        assert breakpoint_.hits == 2
    expected = OUTPUT["selfdebug"]
    for what in NOT_ITS_OWN[linux]:
        assert f"\n{what}: yes".encode() in expected
        expected = expected.replace(f"\n{what}: yes".encode(), f"\n{what}: NO".encode())
    assert bytes(output) == expected.replace(b"all well", b"FAILED")


@pytest.mark.parametrize("count", [1, 2, 4])
def test_processors_share_a_counter(count: int) -> None:
    machine, output = on_processors(count)
    with machine:
        assert machine.run(timeout=60).reason == "exit"
    assert output.decode() == (f"processors: {count}\ncounter: {1000 * count}\nsmp: all well\n")


def test_every_write_of_every_processor_is_seen() -> None:
    """A watch on a locked counter, three processors: no write is lost or reported twice."""
    machine, output = on_processors(3)
    values: list[object] = []
    writers: set[int] = set()
    with machine:

        @machine.watch("counter")
        def wrote(hit: guestdbg.Hit) -> None:
            writers.add(hit.vcpu.id)
            values.append(hit.new)

        assert machine.run(timeout=60).reason == "exit"
    assert values == [0, *range(1, 3001)] or values == list(range(1, 3001))
    assert writers == {0, 1, 2}
    assert "smp: all well" in output.decode()


def test_a_software_breakpoint_misses_no_processor() -> None:
    """While one vCPU steps over it, the BRK is not in memory: the other vCPUs are paused."""
    machine, output = on_processors(3)
    with machine:
        taken = machine.break_("take_lock", kind="software")
        by: list[int] = []
        taken.handler = lambda hit: by.append(hit.vcpu.id)
        assert machine.run(timeout=60).reason == "exit"
    assert [by.count(cpu) for cpu in range(3)] == [1000, 1001, 1001]
    assert "smp: all well" in output.decode()


def test_a_processor_is_armed_before_its_first_instruction() -> None:
    arrivals: list[tuple[int, int]] = []
    machine, _ = on_processors(3)
    with machine:

        @machine.break_("secondary_start")
        def arrived(hit: guestdbg.Hit) -> None:
            arrivals.append((hit.vcpu.id, hit.pc))

        start = machine.symbol("secondary_start").address
        assert machine.run(timeout=60).reason == "exit"
    assert sorted(arrivals) == [(1, start), (2, start)]
