"""Parameters and local variables in conditions and hits; test_local_variables in gdb compares them.

Each condition is evaluated by the provider, where it can, and in Python.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.arm64.instructions import written_registers
from guestdbg.debugger import Guest, Hit, UnknownSymbol, load
from guestdbg.debugger.breakpoints.conditions.compiler import Shape
from guestdbg.debugger.breakpoints.conditions.expression import Condition
from guestdbg.debugger.errors import NotInScope, OptimizedOut
from guestdbg.debugger.program.drgn_objects import number
from guestdbg.debugger.program.local_variables.scoped_variables import Place

from .compiled import compiled, line_of, needs_gcc

pytest.importorskip("drgn", reason="drgn runs on Linux only")
pytestmark = needs_gcc

SOURCE = """\
#define NOINLINE __attribute__((noinline))
enum kind { IDLE, READ = 3, WRITE };
struct job { struct job *next; enum kind kind; unsigned char size; _Bool done; short left; };
volatile int deepest, shared, depth = 77;
struct job jobs[3] = { { &jobs[1], READ, 250, 0, -3 }, { &jobs[2], WRITE, 4, 1, 9 }, { 0, 0, 1 } };
NOINLINE int dive(int depth)
{
	int left = 20 - depth;
	deepest = depth; /* dive stores */
	if (!left)
		return 0; /* the bottom */
	return dive(depth + 1) + 1;
}
NOINLINE long handle(struct job *j, unsigned char code, signed char small, _Bool last, long wide)
{
	static int calls;
	calls++;
	shared = code; /* handle stores */
	if (j->next)
		j->next->left += small; /* next is touched */
	return wide + last + calls;
}
NOINLINE void fill(struct job *j, int count)
{
	while (count--) {
		j->size = count; /* fill stores */
		j++;
	}
}
static inline __attribute__((always_inline)) void pair(int first, int second)
{
	shared = first; /* pair stores */
	shared = second;
}
long main_result;
int main(void)
{
	long n = dive(0);
	for (int i = 0; i < 9; i++)
		n += handle(&jobs[i % 3], 250 + i, 3 - i, i & 1, (long)i << 40); /* main calls */
	fill(jobs, 3);
	pair(n, 5);
	shared = n;
	main_result = n;
	return 0;
}
"""
#: The recursion stays one.
FIXED = ("-fno-optimize-sibling-calls",)
FLAGS = [("-O0",), ("-Og", "-gdwarf-4"), ("-O2",)]


@pytest.fixture(scope="module", params=FLAGS, ids=lambda flags: flags[0])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("locals")
    return compiled(directory, {"locals.c": SOURCE}, ("-g", *FIXED, *request.param))


@pytest.fixture
def guest(path: Path, evaluation: str) -> Iterator[Guest]:
    with load(path, provider="soft", console=None, memory="16M") as guest:
        yield guest


def at(marker: str) -> str:
    return f"locals.c:{line_of(SOURCE, marker)}"


@pytest.mark.parametrize(
    ("where", "condition", "hits"),
    [
        (at("dive stores"), "depth == 13", 1),
        (at("dive stores"), "depth > 13", 7),
        (at("dive stores"), "depth % 2 == 0 and count > 4", 9),
        ("dive", "depth == 13", 1),
        ("dive", "depth > 13 and depth != locals.c:depth", 7),
        ("handle", "code == 1", 1),  # an unsigned char: 257
        ("handle", "small < -2", 3),
        ("handle", "small == -5", 1),
        ("handle", "last", 4),
        ("handle", "last == 1", 4),
        ("handle", "wide >> 40 == 7", 1),
        ("handle", "j->kind == 3", 3),
        ("handle", "j.kind == 3 and j->size == 250", 3),
        ("handle", "j->next and j->next->kind == 4", 3),
        ("handle", "j->done", 3),
        ("handle", "j->left < 0 and j->kind == 3", 3),
        ("handle", "j == 0", 0),
        ("handle", "j[1].kind == 4", 3),
        (at("handle stores"), "code == 1", 1),
        (at("handle stores"), "calls == 4", 1),
    ],
)
def test_a_breakpoint(guest: Guest, where: str, condition: str, hits: int) -> None:
    point = guest.break_(where, when=condition)
    point(lambda hit: None)
    assert guest.run(timeout=60).reason == "exit"
    assert (point.hits, point.unavailable) == (hits, 0)
    assert point.seen in (9, 21)


@pytest.mark.parametrize(
    "condition",
    ["depth == 13", "code == 1", "j->next->kind == 4", "wide >> 40 == 7", "last", "j->left < 0"],
)
def test_the_provider_evaluates_it(path: Path, condition: str) -> None:
    with load(path, provider="soft", console=None, memory="16M") as guest:
        point = guest.break_("dive" if "depth" in condition else "handle")
        place = Place(point.address)
        variables = guest._info.variables
        shape = Shape(0, True, lambda name: variables.static_address_at(name, place))
        assert Condition(condition).compile(shape) is not None


def test_hits_and_vcpus_read_them(guest: Guest) -> None:
    """Also after the access, by an instruction that has changed the pointer that it used."""
    seen = []

    @guest.watch("jobs[1].size")
    def _(hit: Hit) -> None:
        if hit.location.function == "fill":
            seen.append((number(hit["count"]), number(hit["jobs[1].size"])))
            assert number(hit.vcpu["count"]) in (0, 1)
            with pytest.raises(NotInScope, match="'code' is"):
                hit["code"]

    assert guest.run(timeout=60).reason == "exit"
    assert seen == [(1, 1)]


def test_a_watch_looks_in_the_scope_of_each_hit(guest: Guest) -> None:
    """Of 12 writes, 9 are in handle; pair has its own variables, main has others."""
    point = guest.watch("shared", when="code >= 256 or code == 1")
    point(lambda hit: None)
    assert guest.run(timeout=60).reason == "exit"
    assert point.seen == 12
    if point.unavailable > 3:
        # Optimised, `code` may be nowhere after its last use, which is the access.
        assert point.unavailable == 12
        assert "'code'" in str(point.why_unavailable)
    else:
        assert (point.hits, point.unavailable) == (1, 3)
        assert "'code' is a parameter or local variable" in str(point.why_unavailable)


def test_a_local_variable_hides_the_one_of_the_guest(guest: Guest) -> None:
    """A global `depth` is 77; the parameter of dive is not."""
    point = guest.watch("deepest", when="depth == 13")
    point(lambda hit: None)
    guest.run(timeout=60)
    assert (point.seen, point.hits + point.unavailable) in ((21, 1), (21, 21))
    other = guest.watch("shared", when="depth == 77")
    other(lambda hit: None)
    guest.reset()
    guest.run(timeout=60)
    assert (other.seen, other.hits, other.unavailable) == (12, 12, 0)


def test_what_can_never_be_read_is_reported_when_it_is_given(guest: Guest) -> None:
    with pytest.raises(NotInScope, match="'code' is a parameter or local variable"):
        guest.break_("dive", when="code == 3")
    with pytest.raises(UnknownSymbol, match="no variable named 'dept'"):
        guest.break_("dive", when="dept == 3")
    with pytest.raises(UnknownSymbol, match="no member of struct job named 'knd'"):
        guest.break_("handle", when="j->knd == 3")
    with pytest.raises(UnknownSymbol, match="no variable named 'dept'"):
        guest.watch("shared", when="dept == 3")
    guest.watch("shared", when="code == 3")
    with pytest.raises(NotInScope, match=r"'code' is .*: hit\['code'\] reads it at a hit"):
        guest["code"]


LOST = """\
volatile int shared;
__attribute__((noinline)) void other(void) { asm volatile("" ::: "x0", "x1", "memory"); }
__attribute__((noinline)) int lose(int argument)
{
	int twice = argument * 2;
	shared = twice;
	other();
	shared = 3; /* both are lost */
	return 1;
}
int main(void)
{
	return lose(7);
}
"""


@pytest.mark.parametrize(
    ("name", "why"),
    [("argument", "the argument, which the function no longer has"), ("twice", "no longer has")],
)
def test_what_is_optimised_out_is_reported_when_it_is_given(
    tmp_path: Path, name: str, why: str
) -> None:
    path = compiled(tmp_path, {"lost.c": LOST}, ("-g", "-O2"))
    with load(path, provider="soft", console=None, memory="16M") as guest:
        where = f"lost.c:{line_of(LOST, 'both are lost')}"
        with pytest.raises(OptimizedOut, match=f"'{name}' of lose is optimised out.*{why}"):
            guest.break_(where, when=f"{name} == 3")
        assert not list(guest.points)


def test_what_is_not_stored_yet_is_reported_when_it_is_given(tmp_path: Path) -> None:
    path = compiled(tmp_path, {"locals.c": SOURCE}, ("-g", "-O0"))
    with load(path, provider="soft", console=None, memory="16M") as guest:
        with pytest.raises(OptimizedOut, match=r"has not yet stored 'left'.*later instruction"):
            guest.break_("dive", when="left == 3")
        with pytest.raises(OptimizedOut, match="has not yet stored 'depth'"):
            guest.break_("dive+4", when="depth == 3")


def test_some_places_only_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sources = {
        "locals.c": SOURCE.replace("long main_result;", "void other(void);").replace(
            "	main_result = n;\n", "	other();\n"
        ),
        "other.c": SOURCE[: SOURCE.index("struct job jobs")]
        .replace("depth = 77", "depths")
        .replace("volatile", "static volatile")
        + "static inline __attribute__((always_inline)) void pair(int one)\n{\n\tshared = one;\n}\n"
        + "void other(void)\n{\n\tpair(3);\n\tpair(4);\n}\n",
    }
    path = compiled(tmp_path, sources, ("-g", *FIXED, "-O2"))
    with load(path, provider="soft", console=None, memory="16M") as guest:
        with caplog.at_level(logging.WARNING):
            point = guest.break_("pair", when="first < 9999")
        assert "can be read at 1 of 3 places only" in caplog.text
        point(lambda hit: None)
        guest.run(timeout=60)
        assert (point.seen, point.hits, point.unavailable) == (3, 1, 2)


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (0xB9000020, set()),  # str w0, [x1]
        (0xB8404420, {0, 1}),  # ldr w0, [x1], #4
        (0xB8004420, {1}),  # str w0, [x1], #4
        (0xA9BF7BFD, {31}),  # stp x29, x30, [sp, #-16]!
        (0xA8C17BFD, {29, 30, 31}),  # ldp x29, x30, [sp], #16
        (0xC8027C20, {2}),  # stxr w2, x0, [x1]
        (0xB8200041, {0, 1}),  # ldadd w0, w1, [x2]; w0 is not known to stay
        (0xD50B7420, set()),  # dc zva, x0
        (0x3D800020, set()),  # str q0, [x1]
        (0xD503201F, None),  # nop
    ],
)
def test_the_registers_that_an_access_writes(raw: int, written: set[int] | None) -> None:
    assert written_registers(raw) == written
