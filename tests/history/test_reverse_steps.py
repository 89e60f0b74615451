"""Steps back by line, over calls and out of functions are the steps forward in reverse."""

import random
from itertools import groupby
from pathlib import Path

import pytest

import guestdbg
from guestdbg.arm64.pstate import exception_level
from guestdbg.debugger import Guest, NoDebugInfo, Stop, Unsupported
from guestdbg.history import NotRecorded, OutsideHistory
from guestdbg.machine import Time
from tests.debugger.compiled import compiled, line_of, needs_gcc
from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

#: A guest, how many vCPUs it has, and where to begin: after so many instructions.
PLACES = [
    *(("queue", 1, n) for n in (3000, 60_000, 300_000)),
    *(("smp", vcpus, n) for vcpus in (2, 4) for n in (3000, 30_000)),
    ("fault", 1, 3000),
    ("mmu", 1, 3000),
    ("selfdebug", 1, 3000),
]

RECURSION = """\
volatile int sink;
static int work[4];

__attribute__((noinline)) static int last(int n)
{
    work[n & 3] += n;
    return work[n & 3] + 1;
}

__attribute__((noinline)) static int tail(int n)
{
    sink = n;
    return last(n + 1);  /* a jump, with optimization */
}

__attribute__((noinline)) static int down(int n)
{
    int below;

    if (n == 0)
        return tail(7);
    below = down(n - 1);
    return below + n;
}

static inline int inlined(int n)
{
    sink += n;
    return sink * 3;
}

int main(void)
{
    int total = 0;

    for (int i = 0; i < 3; i++) {
        total += inlined(i);
        total += down(i);
        while (sink > 5) sink--;
        total += tail(i);
    }
    return total;
}
"""


def load(path: Path, vcpus: int = 1) -> Guest:
    return guestdbg.load(
        path, vcpus=vcpus, memory="16M", console=None, provider="soft", history=True
    )


Line = tuple[str | None, int | None]


def line(stop: Stop) -> Line:
    return stop.location.file, stop.location.line


def once(seen: list[tuple[Time, Line]]) -> list[tuple[Time, Line]]:
    """Without the entries whose line is that of the one before."""
    return [next(group) for _, group in groupby(seen, key=lambda each: each[1])]


def forward(guest: Guest, count: int, *, into: bool) -> list[tuple[Time, Line]]:
    here = guest.cpu.location
    seen = [(guest.history.now, (here.file, here.line))]
    for _ in range(count):
        stop = guest.step_line(into=into, max_instructions=3_000_000)
        if stop.reason != "step":
            break
        assert stop.time is not None
        seen.append((stop.time, line(stop)))
    return seen


def back(guest: Guest, start: Time, *, into: bool) -> list[tuple[Time, Line]]:
    here = guest.cpu.location
    seen = [(guest.history.now, (here.file, here.line))]
    while seen[-1][0] > start:
        stop = guest.reverse_step_line(into=into)
        assert stop.reason == "step"
        assert stop.time is not None
        assert stop.time == guest.history.now
        assert stop.time < seen[-1][0]
        seen.append((stop.time, line(stop)))
    return seen


@pytest.mark.parametrize(("name", "vcpus", "place"), PLACES)
def test_lines_back_are_the_lines_forward(name: str, vcpus: int, place: int) -> None:
    with load(EXAMPLES / f"{name}.elf", vcpus) as guest:
        guest.run(max_instructions=place)
        powered = [cpu for cpu in guest.vcpus if cpu.pc]
        guest.select(random.Random(place).choice(powered))
        guest.step_line(into=True)  # to the beginning of a line
        ahead = forward(guest, 20, into=True)
        assert len(ahead) > 3
        if guest.ended is None:
            guest.goto(ahead[-1][0])
        expected = once(ahead[::-1])
        found = once(back(guest, ahead[0][0], into=True))
        assert [each for _, each in found] == [each for _, each in expected]
        assert found == expected


@pytest.mark.parametrize("function", ["submit", "queue_pop", "queue_push"])
def test_over_calls(function: str) -> None:
    """From a function's end to its beginning, and no other function's lines."""
    with load(EXAMPLES / "queue.elf") as guest:
        point = guest.break_(function, ignore=50)
        guest.run()
        point.delete()
        start = guest.history.now
        ahead = [(start, (guest.cpu.location.file, guest.cpu.location.line))]
        while True:
            stop = guest.step_line()
            if guest.cpu.location.outermost.function != function:
                break
            assert stop.time is not None
            ahead.append((stop.time, line(stop)))
        assert len(ahead) > 3
        guest.goto(ahead[-1][0])
        assert once(back(guest, start, into=False)) == once(ahead[::-1])
        stop = guest.reverse_step_line()
        assert stop.reason == "step"
        assert guest.cpu.location.outermost.function != function, "before its call"
        while guest.cpu.location.outermost.function != function:
            guest.step_line(into=True)
        assert guest.history.now == start


@needs_gcc
@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2"])
def test_recursion_tail_calls_and_inlined_functions(level: str, tmp_path: Path) -> None:
    guest_file = compiled(tmp_path, {"main.c": RECURSION}, ("-g", level))
    with load(guest_file) as guest:
        guest.run(until="main")
        start = guest.history.now
        into = forward(guest, 150, into=True)
        guest.goto(into[-1][0])
        assert once(back(guest, start, into=True)) == once(into[::-1])
        guest.goto(start)
        over = forward(guest, 150, into=False)
        while over[-1][0] > into[-1][0] or over[-1][1][0] != "main.c":
            over.pop()
        guest.goto(over[-1][0])
        assert once(back(guest, start, into=False)) == once(over[::-1])


@needs_gcc
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_out_of_a_function_is_its_call(level: str, tmp_path: Path) -> None:
    """Wherever a function is left, the call leads to where stepping out does."""
    guest_file = compiled(tmp_path, {"main.c": RECURSION}, ("-g", level))
    with load(guest_file) as guest:
        guest.run(until="main")
        rnd = random.Random(level)
        for _ in range(30):
            guest.step(rnd.choice([1, 5, 17]))
            if guest.ended is not None or guest.cpu.location.function in ("main", "_start"):
                continue
            here = guest.history.now
            out = guest.step_out()
            guest.goto(here)
            stop = guest.reverse_step_out()
            assert (stop.reason, stop.pc) == ("step", out.pc - 4)
            assert guest.history.now < here
            over = guest.step_over()
            assert over.time == out.time
            guest.reverse_step_over()
            assert guest.history.now == stop.time
            guest.goto(here)


@needs_gcc
def test_a_point_on_the_way_stops_a_step(tmp_path: Path) -> None:
    guest_file = compiled(tmp_path, {"main.c": RECURSION}, ("-g", "-O0"))
    with load(guest_file) as guest:
        guest.run(until=f"main.c:{line_of(RECURSION, 'while (sink')}")
        guest.run(until=f"main.c:{line_of(RECURSION, 'while (sink')}")
        end = guest.history.now
        calls = guest.break_("down", when="n == 0")
        stop = guest.reverse_step_line()
        assert stop.reason == "hit"
        assert stop.hit is not None
        assert stop.hit.point is calls
        assert calls.hits == 0
        guest.goto(end)
        calls.enabled = False
        watch = guest.watch("work", 16)
        stop = guest.reverse_step_line()
        assert (stop.reason, stop.location.function) == ("hit", "last")
        guest.goto(end)
        watch.delete()
        stop = guest.reverse_step_line()
        assert (stop.reason, stop.location.function) == ("step", "main")
        assert guest.cpu.location.line == line_of(RECURSION, "total += down")


def test_the_beginning_and_what_is_not_known() -> None:
    with guestdbg.load(EXAMPLES / "queue.elf", console=None) as guest:
        with pytest.raises(NotRecorded):
            guest.reverse_step_line()
        guest.run(until="queue_push")
        guest.step()
        guest.history.start()
        for step in (guest.reverse_step_line, guest.reverse_step_over, guest.reverse_step_out):
            with pytest.raises(OutsideHistory, match="nothing before it was recorded"):
                step()
        begin = guest.history.now
        guest.step_line()
        end = guest.history.now
        for step in (guest.reverse_step_line, guest.reverse_step_out):
            guest.goto(end)
            stop = step()
            assert (stop.reason, stop.time) == ("history", begin)
            assert "beginning of the history" in stop.detail
        guest.history.goto_end()
        guest.step_out()
        stop = guest.reverse_step_over()
        assert guest.cpu.location.function == "queue_push", "its call is not in the history"
        guest.history.goto_end()
        guest.run(max_instructions=1)
    with load(EXAMPLES / "lost.elf") as guest:
        guest.run(max_instructions=300_000)
        here = guest.history.now
        with pytest.raises(NoDebugInfo):
            guest.reverse_step_line()
        with pytest.raises(Unsupported):
            guest.reverse_step_out()
        assert guest.history.now == here


#: The virtual timer interrupts main again and again; the handler takes longer than a line.
TIMER = """\
#define REG(address) (*(volatile unsigned *)(address))

__asm__(
"	.balign 2048\\n"
"vectors:\\n"
"	.skip 0x280\\n"
"	stp	x0, x1, [sp, #-16]!\\n"
"	mrs	x0, S3_0_C12_C12_0\\n" /* ICC_IAR1_EL1 */
"	mov	x1, #LENGTH\\n"
"1:	subs	x1, x1, #1\\n"
"	b.ne	1b\\n"
"	mov	x1, #PERIOD\\n"
"	msr	CNTV_TVAL_EL0, x1\\n"
"	isb\\n"
"	msr	S3_0_C12_C12_1, x0\\n" /* ICC_EOIR1_EL1 */
"	ldp	x0, x1, [sp], #16\\n"
"	eret\\n");

volatile int sink;

__attribute__((noinline)) static int twice(int n)
{
    sink += n;
    return 2 * n;
}

int main(void)
{
    int total = 0;

    __asm__ volatile(
        "adr x0, vectors; msr VBAR_EL1, x0\\n"
        "mov x0, #0xff; msr S3_0_C4_C6_0, x0\\n"    /* ICC_PMR_EL1 */
        "mov x0, #1; msr S3_0_C12_C12_7, x0; isb\\n" /* ICC_IGRPEN1_EL1 */
        ::: "x0");
    REG(0x08000000) = 0x12;              /* GICD_CTLR: affinity routing, group 1 */
    REG(0x080a0014) = 0;                 /* GICR_WAKER */
    REG(0x080b0080) = 1u << 27;          /* GICR_IGROUPR0 */
    REG(0x080b0100) = 1u << 27;          /* GICR_ISENABLER0 */
    __asm__ volatile(
        "mov x0, #PERIOD; msr CNTV_TVAL_EL0, x0\\n"
        "mov x0, #1; msr CNTV_CTL_EL0, x0; isb; msr DAIFClr, #2" ::: "x0");
    for (int i = 0; i < 40; i++) {
        total += twice(i);
        sink = total;
    }
    return total;
}
"""


@needs_gcc
@pytest.mark.parametrize("length", [3, 500])
def test_handlers_of_interrupts_are_passed(length: int, tmp_path: Path) -> None:
    source = TIMER.replace("LENGTH", str(length)).replace("PERIOD", "1")
    with load(compiled(tmp_path, {"main.c": source}, ("-g", "-O1"))) as guest:
        guest.run(until=f"main.c:{line_of(source, 'total += twice')}")
        start = guest.history.now
        taken = guest.break_(guest.symbol("vectors").address + 0x280, name="taken")
        taken(lambda hit: None)
        ahead = forward(guest, 40, into=True)
        assert taken.hits > 5, "interrupts come in"
        taken.delete()
        guest.goto(ahead[-1][0])
        found = back(guest, start, into=True)
        assert [each for _, each in once(found)] == [each for _, each in once(ahead[::-1])]
        guest.goto(start)
        pcs = [guest.cpu.pc]
        while len(pcs) < 40 or guest.cpu.location.function != "main":
            guest.step()
            pcs.append(guest.cpu.pc)
        again = [guest.cpu.pc]
        while guest.history.now > start:
            stop = guest.reverse_step_over()
            again.append(stop.pc)
        inside = guest.symbol("twice")
        main = [pc for pc in pcs if not inside.contains(pc)]
        assert again == main[::-1]


def test_an_interrupted_step_stays_where_it_was() -> None:
    with load(EXAMPLES / "queue.elf") as guest:
        guest.run(max_instructions=300_000)
        guest.step_line()
        guest.goto(guest.history.now)
        here = guest.history.now
        for step in (guest.reverse_step_line, guest.reverse_step_over):
            guest.interrupt()
            assert step().reason == "interrupt"
            assert guest.history.now == here
        assert guest.reverse_step_line().reason == "step"


def test_steps_back_over_what_the_user_has_written() -> None:
    with load(EXAMPLES / "queue.elf") as guest:
        point = guest.break_("queue_push", ignore=40)
        guest.run()
        point.delete()
        start = guest.history.now
        ahead = forward(guest, 5, into=True)
        guest.cpu.x[20] = 7
        guest.write(guest.symbol("queue").address + 0x100, b"\7")
        ahead += forward(guest, 5, into=True)
        found = back(guest, start, into=True)
        assert once(found) == once(ahead[::-1])
        assert guest.cpu.x[20] != 7
        guest.goto(ahead[-1][0])
        stop = guest.reverse_step_out()
        assert stop.reason == "step"
        assert guest.step_over().time is not None


def test_system_calls_and_faults_of_a_program_are_passed() -> None:
    """Back from EL0, what the kernel does for the program is as one instruction."""
    with load(EXAMPLES / "mmu.elf") as guest:
        guest.run(until="user_start")
        guest.step()
        seen = [(guest.history.now, guest.cpu.pc)]
        for _ in range(3000):
            stop = guest.step()
            assert stop.time is not None
            if exception_level(guest.cpu.reg("pstate")) == 0:
                seen.append((stop.time, stop.pc))
        assert len(seen) > 50
        guest.goto(seen[-1][0])
        back = [guest.cpu.pc]
        while guest.history.now > seen[0][0]:
            back.append(guest.reverse_step_over().pc)
        assert back == [pc for _, pc in seen[::-1]]
