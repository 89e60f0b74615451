"""Functions that were inlined: as locations, in conditions and in backtraces."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.debugger import Guest, UnknownSymbol, load

from .compiled import compiled, line_of, needs_gcc

pytestmark = needs_gcc

ONE = """\
#define INLINE static inline __attribute__((always_inline))
volatile int level, other;
INLINE void bottom(int by)
{
	level = by; /* bottom's line */
}
INLINE void lift(int by)
{
	bottom(by); /* lift calls */
	if (other)
		bottom(by + 7);
}
__attribute__((noinline)) void work(int n)
{
	lift(n); /* work calls */
}
void elsewhere(void);
int main(void)
{
	work(3); /* main calls */
	elsewhere();
	lift(9); /* main lifts */
	return 0;
}
"""
# The same name in another unit: once inlined, once as a function, and split into two ranges.
TWO = """\
extern volatile int level, other;
static void lift(int by)
{
	level = by;
	if (__builtin_expect(other == 12345, 0)) {
		level = 1;
		asm volatile("" ::: "memory");
		level = 2;
	}
}
void (*volatile taken)(int) = lift;
__attribute__((noinline)) void elsewhere(void)
{
	lift(5);
	taken(6);
}
"""
SOURCES = {"one.c": ONE, "two.c": TWO}


@pytest.fixture(scope="module", params=["-gdwarf-4", "-gdwarf-5", "-flto"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    flags = ["-g", request.param]
    if request.param == "-flto":
        flags += ["-flto-partition=one", "-fno-ipa-cp", "-ffat-lto-objects"]
    return compiled(tmp_path_factory.mktemp("inlined"), SOURCES, flags)


@pytest.fixture
def guest(program: Path) -> Iterator[Guest]:
    with load(program, provider="soft", console=None, memory="16M") as loaded:
        yield loaded


def hits(guest: Guest) -> list[tuple[str | None, int]]:
    """The function and X0 of all hits until the guest ends."""
    found = []
    while (stop := guest.run(max_instructions=1_000_000)).reason == "hit":
        assert stop.hit is not None
        found.append((stop.hit.location.function, stop.hit.vcpu.x[0]))
    assert stop.reason == "exit"
    return found


def test_a_breakpoint_is_set_at_every_copy(guest: Guest) -> None:
    """In `work`, in `main`, in `elsewhere`, and the function itself of the other unit.

    Parts that the compiler split off are copies too, and are not executed here.
    """
    point = guest.break_("lift")
    assert len(point.addresses) >= 4
    assert [name for name, _ in hits(guest)] == ["lift"] * 4
    assert point.hits == 4


def test_nested_copies_are_found(guest: Guest) -> None:
    point = guest.break_("bottom")
    assert len(point.addresses) == 4, "two in each copy of lift"
    assert [name for name, _ in hits(guest)] == ["bottom"] * 2


def test_a_function_named_is_the_function_of_the_hit(guest: Guest) -> None:
    """`lift` may begin at the same instruction as `work`, but the breakpoint is of `work`."""
    guest.break_("work", when="function == 'work'")
    stop = guest.run(max_instructions=1_000_000)
    assert stop.hit is not None
    assert stop.hit.location.function == "work"
    assert stop.hit.location.caller is None
    assert [f.location.function for f in stop.hit.backtrace()][:2] == ["work", "main"]


def test_the_innermost_function_is_that_of_conditions(guest: Guest) -> None:
    guest.run(until="main")
    inner = guest.watch("level", when="function == 'bottom'")
    outer = guest.watch("level", when="function == 'work'")
    while guest.run(max_instructions=1_000_000).reason == "hit":
        pass
    assert inner.hits == 2
    assert outer.hits == 0
    assert outer.seen == 4


def test_frames_are_those_of_the_source(guest: Guest) -> None:
    guest.run(until="main")
    guest.watch("level")
    hit = guest.run(max_instructions=1_000_000).hit
    assert hit is not None
    frames = hit.backtrace()
    assert [(f.location.function, f.location.line, f.inlined) for f in frames][:4] == [
        ("bottom", line_of(ONE, "bottom's line"), True),
        ("lift", line_of(ONE, "lift calls"), True),
        ("work", line_of(ONE, "work calls"), False),
        ("main", line_of(ONE, "main calls"), False),
    ]
    assert [f.number for f in frames] == list(range(len(frames)))
    assert {f.pc for f in frames[:3]} == {hit.pc}
    assert {f.sp for f in frames[:3]} == {hit.vcpu.sp}
    assert frames.cut is None
    assert str(hit.location).startswith("bottom")
    assert [each.function for each in hit.location.chain] == ["bottom", "lift", "work"]
    assert hit.location.outermost.function == "work"


def test_an_offset_is_one_in_each_copy(guest: Guest) -> None:
    """What a location is shown as can be given as a location."""
    guest.run(until="main")
    guest.watch("level")
    hit = guest.run(max_instructions=1_000_000).hit
    assert hit is not None
    assert hit.pc in guest.break_(hit.location.symbolic).addresses


def test_a_step_out_leaves_the_function_and_not_what_is_inlined(guest: Guest) -> None:
    guest.run(until="work")
    stop = guest.step_out()
    assert stop.location.function == "main"


def test_a_name_that_does_not_exist_is_still_an_error(guest: Guest) -> None:
    with pytest.raises(UnknownSymbol, match="lifts"):
        guest.break_("lifts")


@pytest.mark.skipif(shutil.which("gdb-multiarch") is None, reason="gdb-multiarch is not installed")
def test_places_are_those_of_gdb(program: Path, guest: Guest) -> None:
    """GDB's `info breakpoints`; it skips the prologue of a function that is not inlined."""
    for name in ("lift", "bottom"):
        done = subprocess.run(
            ["gdb-multiarch", "-nx", "-batch", "-ex", f"break {name}", "-ex", "info breakpoints"]
            + [str(program)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        places = {int(a, 16) for a in re.findall(r"(0x[0-9a-f]{16}) ", done.stdout)}
        assert places, done.stdout
        found = set(guest.break_(name).addresses)
        # GDB before version 15 takes the lowest address of a copy, and not DW_AT_entry_pc.
        for block in guest.images[0].scopes.named(name):
            if block.entry not in places and block.entry in found:
                found.remove(block.entry)
                found.add(block.ranges[0][0])
        assert found == places, (name, done.stdout)
