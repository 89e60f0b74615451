"""Variables of floating-point type: watches, hits, recordings, conditions, output.

Each is done by the provider, and by Python.
"""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guestdbg.arm64.instructions import loaded_vectors
from guestdbg.debugger import (
    ConditionError,
    Guest,
    Hit,
    InvalidLocation,
    OptimizedOut,
    UnknownRegister,
    load,
)
from guestdbg.debugger.breakpoints.conditions.compiler import Shape
from guestdbg.debugger.breakpoints.conditions.expression import Condition
from guestdbg.debugger.program.float_format import BFLOAT16, DOUBLE, HALF, SINGLE

from .compiled import compiled, line_of, needs_gcc

pytest.importorskip("drgn", reason="drgn runs on Linux only")
pytestmark = needs_gcc

#: Only loads, stores and moves of bits.
SOURCE = r"""
typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
double gain = 1.0;
float ratio = 0.5f;
_Float16 tiny = 1.0f16;
__bf16 brain;
long double wide;
typedef const volatile double measured;
measured sensed = 3.0;
struct controller { int steps; float kp; double integral; } heater = { 3, 0.25f, 10.0 };
double samples[4] = { 1, 2, 3, 4 };
struct controller *current = &heater;
#define SET(type, variable, bits) (*(volatile type *)&(variable) = (bits))
#define NOINLINE __attribute__((noinline))
NOINLINE void store_vector(u64 low, u64 high, void *to)
{
	__asm__ volatile("fmov d0, %0\n\tfmov v0.d[1], %1\n\tstr q0, [%2]"
				:: "r"(low), "r"(high), "r"(to) : "memory", "v0");
}
NOINLINE void store_double(u64 bits, void *to)
{
	__asm__ volatile("fmov d7, %0\n\tstr d7, [%1]" :: "r"(bits), "r"(to) : "memory", "v7");
}
int main(void)
{
	SET(u64, gain, 0x4004000000000000); /* 2.5 */
	SET(u64, gain, 0x7ff8000000000001); /* a NaN, twice */
	SET(u64, gain, 0x7ff8000000000001);
	SET(u64, gain, 0xfff8000000000000);
	SET(u64, gain, 0); /* 0.0, then -0.0 */
	SET(u64, gain, 0x8000000000000000);
	SET(u64, gain, 0x7ff0000000000000); /* infinity */
	SET(u32, ratio, 0x3dcccccd); /* 0.1 */
	SET(u32, ratio, 0xbf400000); /* -0.75 */
	SET(u16, tiny, 0x2e66); /* 0.1 */
	SET(u16, brain, 0x4049); /* 3.14 */
	SET(u64, sensed, 0x4010000000000000); /* 4.0 */
	SET(u64, heater.integral, 0x4025000000000000); /* 10.5 */
	SET(u32, heater.kp, 0x3f000000); /* 0.5 */
	heater.steps = 4;
	store_vector(0x3ff8000000000000, 0x4000000000000000, samples); /* 1.5, 2.0 */
	store_double(0x4008000000000000, &samples[2]); /* 3.0 */
	store_vector(1, 2, &wide);
	return 0;
}
"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("floats"), {"floats.c": SOURCE}, floats=True)


@pytest.fixture
def guest(elf: Path, evaluation: str) -> Iterator[Guest]:
    with load(elf, provider="soft", console=None, memory="16M") as loaded:
        yield loaded


def text(value: object) -> object:
    return repr(value) if isinstance(value, float) else value


GAIN = [
    ("1.0", "2.5", True),
    ("2.5", "nan", True),
    ("nan", "nan", False),
    ("nan", "nan", True),
    ("nan", "0.0", True),
    ("0.0", "-0.0", True),
    ("-0.0", "inf", True),
]


@pytest.mark.parametrize(
    ("name", "format_", "expected"),
    [
        ("gain", DOUBLE, GAIN),
        ("ratio", SINGLE, [("0.5", repr(SINGLE.value(0x3DCCCCCD)), True)]),
        ("tiny", HALF, [("1.0", repr(HALF.value(0x2E66)), True)]),
        ("brain", BFLOAT16, [("0.0", repr(BFLOAT16.value(0x4049)), True)]),
        ("sensed", DOUBLE, [("3.0", "4.0", True)]),
        ("heater.integral", DOUBLE, [("10.0", "10.5", True)]),
        ("heater.kp", SINGLE, [("0.25", "0.5", True)]),
        ("current->integral", DOUBLE, [("10.0", "10.5", True)]),
        ("samples[1]", DOUBLE, [("2.0", "2.0", False)]),
        ("floats.c:gain", DOUBLE, GAIN),
    ],
)
def test_hits_have_numbers(
    guest: Guest, name: str, format_: Any, expected: list[tuple[str, str, bool]]
) -> None:
    watch = guest.watch(name)
    found = []

    @watch
    def _(hit: Hit) -> None:
        assert type(hit.old) is type(hit.new) is float
        assert (text(hit.element_old), text(hit.element_new)) == (text(hit.old), text(hit.new))
        found.append((repr(hit.old), repr(hit.new), hit.changed))

    assert watch.float_format is format_
    assert guest.run(timeout=60).reason == "exit"
    assert found[: len(expected)] == expected


def test_a_following_watch_has_numbers(guest: Guest) -> None:
    guest.watch("current->integral", follow=True)
    hit = guest.run(timeout=60).hit
    assert hit is not None
    assert (hit.old, hit.new) == (10.0, 10.5)


def test_recordings_have_numbers(guest: Guest) -> None:
    recording = guest.record("gain")
    assert guest.run(timeout=60).reason == "exit"
    assert [(text(record.old), text(record.new)) for record in recording] == [
        (old, new) for old, new, _ in GAIN
    ]
    assert [row[3] for row in recording.data().tolist()][:2] == [
        0x4004000000000000,
        0x7FF8000000000001,
    ]
    assert "old=1.0, new=2.5" in repr(next(iter(recording)))


@pytest.mark.parametrize(
    ("what", "when", "hits"),
    [
        ("gain", "old != new", 6),
        ("gain", "old == new", 1),
        ("gain", "new != new", 3),
        ("gain", "new > 2", 2),
        ("gain", "new == 0 and old == 0", 1),
        ("gain", "new == inf", 1),
        ("gain", "new == 2.5 and old + 1.5 == new", 1),
        ("gain", "gain == new", 4),
        ("ratio", "new > 0.0999 and new < 0.1001", 1),
        ("ratio", "new == -3 / 4", 1),
        ("tiny", "0.09 < tiny < 0.11", 1),
        ("brain", "new == brain == 3.140625", 1),
        ("heater.kp", "heater.kp == 0.5 and current->integral == 10.5", 1),
        ("heater.steps", "heater.integral - heater.steps == 6.5", 1),
        ("samples[0]", "d0 == 1.5 and v0.d.f[1] == 2 and v0.d[1] == 1 << 62", 1),
        ("samples[0]", "q0 == 0x40000000000000003ff8000000000000", 1),
        ("samples[2]", "new == d7 == samples[2] == f64[address]", 1),
        ("samples", "d7 == 3.0", 1),
    ],
)
def test_conditions(guest: Guest, what: str, when: str, hits: int) -> None:
    watch = guest.watch(what, when=when)
    watch(lambda hit: None)
    assert guest.run(timeout=60).reason == "exit"
    assert watch.hits == hits


@pytest.mark.parametrize(
    "when",
    [
        *("old != new", "new > gain * 2", "ratio < tiny or brain / 2 > sensed", "current->kp < 1"),
        *("d3 < samples[3] and v3.h[2] != 0", "f64[x0 + 8] != 2.5 and fpsr & 1"),
    ],
)
def test_the_provider_evaluates_them(elf: Path, when: str) -> None:
    with load(elf, provider="soft", console=None) as guest:
        variable = guest._info.variables.static_address_anywhere
        assert Condition(when).compile(Shape(8, True, variable, None, DOUBLE)) is not None


def test_long_doubles_are_bytes(guest: Guest) -> None:
    stop = guest.run(until="main")
    watch = guest.watch("wide")
    stop = guest.run(timeout=60)
    assert stop.hit is not None
    assert stop.hit.new == struct.pack("<QQ", 1, 2)
    watch.when = "wide == 1"
    guest.reset()
    with pytest.raises(ConditionError, match="a long double has more bits than a number here"):
        guest.run(timeout=60)


def test_text_of_hits(guest: Guest) -> None:
    lines = []
    for name in ("gain", "ratio", "samples"):
        guest.watch(name)(lambda hit: lines.append(str(hit).split(": ", 2)[-1]))
    guest.run(timeout=60)
    assert lines == [
        "1.0 -> 2.5",
        "2.5 -> nan(0x8000000000001)",
        "nan(0x8000000000001) -> nan(0x8000000000001)",
        "nan(0x8000000000001) -> -nan(0x8000000000000)",
        "-nan(0x8000000000000) -> 0.0",
        "0.0 -> -0.0",
        "-0.0 -> inf",
        "0.5 -> 0.1",
        "0.1 -> -0.75",
        "000000000000f03f 0000000000000040 -> 000000000000f83f 0000000000000040",
        "3.0 -> 3.0",
    ]


def run(elf: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from guestdbg.cli import main; main()", "run", str(elf)]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def test_the_command_line(elf: Path) -> None:
    result = run(
        elf, *("--watch", "gain if new != old", "--watch", "ratio:rw", "--log", "-"), "--count", "8"
    )
    rows = [json.loads(line, parse_constant=pytest.fail) for line in result.stdout.splitlines()]
    values = [(row["old"], row["new"]) for row in rows if row["event"] == "hit"]
    assert values == [
        (1.0, 2.5),
        (2.5, "nan(0x8000000000001)"),
        ("nan(0x8000000000001)", "-nan(0x8000000000000)"),
        ("-nan(0x8000000000000)", 0.0),
        (0.0, -0.0),
        (-0.0, "inf"),
        (0.5, SINGLE.value(0x3DCCCCCD)),
        (SINGLE.value(0x3DCCCCCD), -0.75),
    ]
    assert math.copysign(1, values[4][1]) == -1
    assert "write ratio  0.5 -> 0.1  in main" in result.stderr
    assert "write gain  2.5 -> nan(0x8000000000001)  in main" in result.stderr


def test_elements_have_numbers(guest: Guest) -> None:
    guest.watch("samples")
    first = guest.run(timeout=60).hit
    assert first is not None
    assert (first.element, first.size, type(first.element_new)) == ("samples", 16, bytes)
    second = guest.run(timeout=60).hit
    assert second is not None
    assert (second.element, second.element_old, second.element_new) == ("samples[2]", 3.0, 3.0)
    assert second.new == 0x4008000000000000  # of an array there are bits


# ---- parameters and local variables in V registers --------------------------------------------

LOCALS = r"""
#define NOINLINE __attribute__((noinline))
volatile double shared = 1.0;
volatile float single;
volatile int count;
NOINLINE void take(double first, int n, float second, double *to)
{
	count = n; /* in take */
	*to = first;
	single = second;
}
NOINLINE double load(const volatile double *from)
{
	double value = *from; /* load */
	count = 1; /* after load */
	return value;
}
int main(void)
{
	double result;
	take(2.5, 3, 0.5f, (double *)&shared);
	result = load(&shared);
	shared = result;
	return 0;
}
"""


@pytest.fixture(scope="module", params=["-O2", "-O0"])
def locals_elf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("locals")
    return compiled(directory, {"locals.c": LOCALS}, ("-g", request.param), floats=True)


@pytest.fixture
def with_locals(locals_elf: Path, evaluation: str) -> Iterator[Guest]:
    with load(locals_elf, provider="soft", console=None, memory="16M") as loaded:
        yield loaded


def test_parameters_at_the_function(with_locals: Guest) -> None:
    point = with_locals.break_("take", when="first == 2.5 and second < 1 and n == 3")
    stop = with_locals.run(timeout=60)
    assert stop.reason == "hit"
    assert stop.hit is not None
    assert (stop.hit["first"].value_(), stop.hit["second"].value_()) == (2.5, 0.5)
    assert point.hits == 1
    point.when = "first != 2.5"
    assert with_locals.run(timeout=60).reason == "exit"


def test_parameters_within_the_function(with_locals: Guest) -> None:
    line = line_of(LOCALS, "in take")
    with_locals.break_(f"locals.c:{line}", when="first * second == 1.25")
    stop = with_locals.run(timeout=60)
    assert stop.reason == "hit"
    assert stop.hit is not None
    assert stop.hit["first"].value_() == 2.5


def test_local_variables_at_a_watch(with_locals: Guest) -> None:
    watch = with_locals.watch("count", when="value == 2.5 and new == 1")
    stop = with_locals.run(timeout=60)
    assert stop.reason == "hit"
    assert watch.hits == 1
    assert watch.seen == 2


def test_a_load_has_overwritten_the_variable(with_locals: Guest) -> None:
    """A variable that comes to be by the load is there after it."""
    with_locals.watch("shared", access="read")
    stop = with_locals.run(timeout=60)
    assert stop.hit is not None
    assert stop.hit.old == 2.5
    assert stop.hit.new is None


PARTS = r"""
#define NOINLINE __attribute__((noinline))
struct point { double x, y; };
volatile double shared;
NOINLINE void move(double a, double b)
{
	struct point p = { a * 2, b + 1 };
	shared = p.x;
	shared = p.y; /* the last */
}
int main(void)
{
	move(1.5, 2.5);
	return 0;
}
"""


def test_a_structure_in_vector_registers_is_named_as_such(tmp_path: Path) -> None:
    path = compiled(tmp_path, {"parts.c": PARTS}, floats=True)
    with (
        load(path, provider="soft", console=None) as guest,
        pytest.raises(OptimizedOut, match="spread over V registers or computed from them"),
    ):
        guest.break_(f"parts.c:{line_of(PARTS, 'the last')}", when="p.x == 3")


@pytest.mark.parametrize(
    ("raw", "loaded"),
    [
        (0xFD400027, {7}),  # ldr d7, [x1]
        (0xAD400821, {1, 2}),  # ldp q1, q2, [x1]
        (0x4C40003E, {30, 31, 0, 1}),  # ld4 {v30.16b - v1.16b}, [x1]
        (0x3D800021, set()),  # str q1, [x1]
        (0xF9400021, set()),  # ldr x1, [x1]
        (0xD503201F, set()),  # nop
    ],
)
def test_loads_of_vector_registers(raw: int, loaded: set[int]) -> None:
    assert loaded_vectors(raw) == loaded


# ---- registers --------------------------------------------------------------------------------


def test_vector_registers_of_a_vcpu(elf: Path) -> None:
    with load(elf, provider="soft", console=None) as guest:
        cpu = guest.cpu
        cpu.v[5] = 0x0123456789ABCDEF_0011223344556677
        assert cpu.v[5] == cpu.reg("v5") == cpu.reg("Q5") == 0x0123456789ABCDEF_0011223344556677
        assert cpu.lanes[5].d[1] == 0x0123456789ABCDEF
        assert list(cpu.lanes[5].s) == [0x44556677, 0x00112233, 0x89ABCDEF, 0x01234567]
        assert list(cpu.lanes[5].h)[7] == 0x0123
        assert list(cpu.lanes[5].b)[:3] == [0x77, 0x66, 0x55]
        cpu.lanes[5].h[7] = 0x3C00
        assert cpu.v[5] == 0x3C00456789ABCDEF_0011223344556677
        assert cpu.lanes[5].h.f[7] == 1.0
        cpu.lanes[5].d.f[0] = -2.5
        assert cpu.d[5] == -2.5
        assert cpu.v[5] >> 64 == 0x3C00456789ABCDEF
        cpu.d[5] = 1.5
        assert cpu.v[5] == 0x3FF8000000000000  # the upper bits are 0
        cpu.s[5] = 0.1
        assert cpu.s[5] == SINGLE.value(0x3DCCCCCD)
        cpu.h[6] = 1e9
        assert cpu.h[6] == math.inf
        cpu.d[7] = 3
        assert cpu.d[7] == 3.0
        cpu.v[8] = -1
        assert cpu.v[8] == (1 << 128) - 1
        cpu.set_reg("q9", 1 << 100)
        assert list(cpu.v)[9] == 1 << 100
        assert (len(cpu.v), len(cpu.d), len(cpu.lanes), len(cpu.lanes[0].b)) == (32, 32, 32, 16)
        assert repr(cpu.s).startswith("[0.0, ")
        assert repr(cpu.lanes[7].d.f) == "[3.0, 0.0]"
        assert repr(cpu.lanes[7]) == "<v7: 0x4008000000000000>"
        cpu.fpcr = 1 << 24
        cpu.fpsr = 0x9F
        assert (cpu.fpcr, cpu.fpsr) == (1 << 24, 0x9F)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda cpu: cpu.v[32], "there is no V32: the SIMD registers are V0 to V31"),
        (lambda cpu: cpu.d[-1], "there is no D-1"),
        (lambda cpu: cpu.lanes[0].d[2], r"no v0\.d\[2\]: the lanes are v0\.d\[0\] to v0\.d\[1\]"),
        (lambda cpu: cpu.reg("d5"), r"use cpu\.d\[5\]; its bits are cpu\.lanes\[5\]\.d\[0\]"),
    ],
)
def test_registers_that_there_are_not(elf: Path, do: Any, message: str) -> None:
    with (
        load(elf, provider="soft", console=None) as guest,
        pytest.raises(UnknownRegister, match=message),
    ):
        do(guest.cpu)


def test_values_that_registers_do_not_take(elf: Path) -> None:
    with load(elf, provider="soft", console=None) as guest:
        with pytest.raises(InvalidLocation, match=r"a number is written to cpu\.d"):
            guest.cpu.v[0] = 1.5  # type: ignore[assignment]
        with pytest.raises(InvalidLocation, match="'1' is not a number"):
            guest.cpu.d[0] = "1"  # type: ignore[assignment]
        with pytest.raises(InvalidLocation, match="a byte is not a floating-point number"):
            _ = guest.cpu.lanes[0].b.f
        with pytest.raises(InvalidLocation, match="have numbers, 0 to 31"):
            _ = guest.cpu.v["v0"]  # type: ignore[index]


def test_snapshots_have_them(guest: Guest) -> None:
    cpu = guest.cpu
    cpu.v[31], cpu.fpsr, cpu.fpcr = 7, 1, 3 << 22
    snapshot = guest.snapshot()
    cpu.v[31], cpu.fpsr, cpu.fpcr = 8, 2, 0
    guest.restore(snapshot)
    assert (cpu.v[31], cpu.fpsr, cpu.fpcr) == (7, 1, 3 << 22)


def test_conditions_where_the_guest_may_not_use_them(guest: Guest) -> None:
    """CPACR_EL1.FPEN is 0 at the start: the debugger reads V registers all the same."""
    assert guest.cpu.reg("CPACR_EL1") >> 20 & 3 == 0
    guest.cpu.d[3] = 1.25
    point = guest.break_("main", when="d3 == 1.25 and v3.d[1] == 0 and fpsr == 0")
    assert guest.run(timeout=60).reason == "hit"
    assert point.hits == 1


@pytest.mark.parametrize("condition", ["v0.d[2] == 1", "d32 > 0", "q99"])
def test_registers_that_do_not_exist_in_a_condition(guest: Guest, condition: str) -> None:
    with pytest.raises(ConditionError, match="registers"):
        guest.break_("main", when=condition)
    assert not list(guest.points)
