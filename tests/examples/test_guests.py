"""The other examples under the debugger: what docs/examples.md says of them."""

import guestdbg
from guestdbg.machine import Console
from tests.machine.guests import OUTPUT, guest


def functions(hit: guestdbg.Hit) -> list[str | None]:
    return [frame.location.function for frame in hit.backtrace()]


def test_a_backtrace_ends_where_an_exception_came_in() -> None:
    """What was interrupted did not call: the entry code says so in its frame information."""
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


def test_a_guest_that_debugs_itself_is_left_alone() -> None:
    """While nobody debugs it from outside, its debug registers are its own."""
    output = bytearray()
    with guestdbg.load(guest("selfdebug"), console=Console(output.extend)) as machine:
        assert machine.run(timeout=60).reason == "exit"
    assert bytes(output) == OUTPUT["selfdebug"]
