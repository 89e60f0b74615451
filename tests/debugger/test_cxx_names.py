"""Names and types of C++: namespaces, methods, templates, references, base classes, overloads."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.debugger import Guest, Image, UnknownSymbol, load
from guestdbg.debugger.program.cxx_abbreviations import rewritten
from guestdbg.debugger.program.demangled import display_name, spellings
from guestdbg.debugger.program.drgn_objects import number

from .compiled import compiled, needs_gxx

pytest.importorskip("drgn", reason="drgn runs on Linux only")
pytestmark = needs_gxx

SOURCE = """\
#define NOINLINE __attribute__((noinline, used))
namespace drv {
int irqs;
struct Base { int first = 1; int second = 2; };
class Port : public Base {
public:
	long count = 0;
	int &ref;
	Port *next;
	Port &self;
	constexpr Port(int &to) : ref(to), next(this), self(*this) {}
	NOINLINE int get() { irqs++; return ref += count; }
	NOINLINE int get(int by) { irqs += by; return by; }
};
template <class T> struct Box {
	T inner;
	NOINLINE void put(T what) { inner = what; irqs = irqs + 1; }
};
namespace { NOINLINE void hidden(int by) { irqs += by; } }
}
int value = 3;
int &alias = value;
typedef int &IntRef;
struct Plain { IntRef typed; const long &wide; };
long wide = 1L << 40;
Plain plain = { value, wide };
constinit drv::Port port(value);
drv::Box<int> box;
drv::Box<long> longs;
NOINLINE int use(drv::Port &p, const int &n)
{
	p.count += n;
	return p.get() + p.self.ref;
}
extern "C" int main()
{
	box.put(5);
	longs.put(6);
	drv::hidden(2);
	int sum = use(port, value);
	port.get(4);
	alias = 9;
	return sum;
}
"""


@pytest.fixture(scope="module", params=["-gdwarf-4", "-gdwarf-5", "stripped"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cxx")
    if request.param != "stripped":
        return compiled(directory, {"cxx.cpp": SOURCE}, ("-g", request.param))
    path = compiled(directory, {"cxx.cpp": SOURCE}, ())
    subprocess.run(["aarch64-linux-gnu-strip", "-g", str(path)], check=True)
    return path


@pytest.fixture
def guest(path: Path) -> Iterator[Guest]:
    with load(path, provider="soft", console=None, memory="16M") as guest:
        yield guest


@pytest.fixture
def typed(evaluation: str, tmp_path: Path) -> Iterator[Guest]:
    """With debug information."""
    path = compiled(tmp_path, {"cxx.cpp": SOURCE}, ("-g",))
    with load(path, provider="soft", console=None, memory="16M") as guest:
        yield guest


FUNCTIONS = [
    ("use", ["_Z3useRN3drv4PortERKi"]),
    ("use(drv::Port&, int const&)", ["_Z3useRN3drv4PortERKi"]),
    ("use(drv::Port &,int const&)", ["_Z3useRN3drv4PortERKi"]),
    ("_Z3useRN3drv4PortERKi", ["_Z3useRN3drv4PortERKi"]),
    ("drv::Port::get", ["_ZN3drv4Port3getEv", "_ZN3drv4Port3getEi"]),
    ("drv::Port::get()", ["_ZN3drv4Port3getEv"]),
    ("drv::Port::get(int)", ["_ZN3drv4Port3getEi"]),
    ("drv::Box<int>::put", ["_ZN3drv3BoxIiE3putEi"]),
    ("drv::Box<long>::put(long)", ["_ZN3drv3BoxIlE3putEl"]),
    ("drv::(anonymous namespace)::hidden", ["_ZN3drv12_GLOBAL__N_16hiddenEi"]),
]


@pytest.mark.parametrize(("written", "symbols"), FUNCTIONS)
def test_a_function_is_found_as_it_is_written(
    guest: Guest, written: str, symbols: list[str]
) -> None:
    names = {s.name: s.address for image in guest.images for s in image.symbols}
    expected = {
        address
        for name, address in names.items()
        if any(name == s or name.startswith(s + ".") for s in symbols)
    }
    point = guest.break_(written)
    assert set(point.addresses) == expected
    point.delete()


def test_functions_are_shown_as_they_are_written(guest: Guest) -> None:
    seen = []
    for name in ("drv::Box<int>::put", "drv::Box<long>::put", "use", "drv::Port::get(int)"):
        guest.break_(name)(lambda hit: seen.append(hit.location.function))
    assert guest.run(timeout=60).reason == "exit"
    assert seen == ["drv::Box<int>::put", "drv::Box<long>::put", "use", "drv::Port::get"]


@pytest.mark.parametrize(
    ("condition", "hits"),
    [
        ("function == 'drv::Port::get'", 2),
        ("function == '_ZN3drv4Port3getEv'", 2),
        ("function in ('drv::Box<int>::put', '_ZN3drv3BoxIlE3putEl')", 2),
        ("'use' == function", 0),
    ],
)
def test_a_function_in_a_condition(guest: Guest, condition: str, hits: int) -> None:
    symbol = next(s for i in guest.images for s in i.symbols if s.name == "_ZN3drv4irqsE")
    point = guest.watch(symbol.address, 4, when=condition)
    point(lambda hit: None)
    guest.run(timeout=60)
    assert (point.hits, point.seen) == (hits, 5)


def test_a_variable_is_found_without_debug_information(guest: Guest) -> None:
    assert guest.watch("drv::irqs").length == 4
    with pytest.raises(UnknownSymbol, match=r"did you mean.*'drv::irqs'"):
        guest.break_("drv::irqz")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("alias", 3),
        ("port.ref", 3),
        ("port.self.ref", 3),
        ("port.next->ref", 3),
        ("port.self.self.next->self.count", 0),
        ("port.first", 1),
        ("port.self.second", 2),
        ("plain.typed", 3),
        ("plain.wide", 1 << 40),
        ("drv::irqs", 0),
        ("longs.inner", 0),
    ],
)
def test_a_reference_is_what_it_refers_to(typed: Guest, expression: str, value: int) -> None:
    assert number(typed[expression]) == value
    point = typed.break_("main", when=f"{expression} == {value}")
    assert typed.run(timeout=60).hit.point is point


def test_references_are_watched_where_they_refer_to(typed: Guest) -> None:
    value = typed.symbol("value").address
    for expression in ("alias", "port.ref", "port.self.ref", "plain.typed"):
        watch = typed.watch(expression)
        assert (watch.address, watch.length) == (value, 4)
        watch.delete()
    watch = typed.watch("port.self.ref", follow=True)
    assert (watch.address, watch.length) == (value, 4)
    watch(lambda hit: None)
    typed.run(timeout=60)
    assert watch.hits == 2


def test_references_are_parameters(typed: Guest) -> None:
    point = typed.break_(
        "use", when="n == 3 and p.ref == 3 and p.second == 2 and p.self.count == 0"
    )
    hit = typed.run(timeout=60).hit
    assert hit is not None
    assert hit.point is point
    assert [number(hit[x]) for x in ("n", "p.ref", "p.first")] == [3, 3, 1]
    method = typed.break_("drv::Port::get()", when="this->count == 3 and this->ref == 3")
    assert typed.run(timeout=60).hit.point is method


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
        ("_RNvNtC4core3fmt5write", "core::fmt::write"),
        ("_ZTV4Port", "vtable for Port"),
        ("_ZN3drvL6helperEi.constprop.0", "drv::helper.constprop.0"),
        ("_Z", "_Z"),
        ("_Zebra", "_Zebra"),
        ("main", "main"),
    ],
)
def test_names_as_they_are_shown(name: str, shown: str) -> None:
    assert display_name(name) == shown
    assert "".join(shown.split()) in (*spellings(name), "vtableforPort")


@given(st.text(max_size=40).map("_Z".__add__) | st.text(max_size=40).map("_R".__add__))
def test_any_name_can_be_shown(name: str) -> None:
    assert display_name(name)
    assert spellings(name)


@given(st.binary(max_size=200))
def test_any_abbreviations_keep_their_size(data: bytes) -> None:
    contents = b"before" + data + b"after"
    changed = rewritten(contents, 6, len(data)).contents
    assert len(changed) == len(contents)
    assert changed[:6] + changed[-5:] == b"beforeafter"
    differing = [(a, b) for a, b in zip(contents, changed, strict=True) if a != b]
    assert set(differing) <= {(0x10, 0x0F), (0x42, 0x0F), (0x1C, 0x0D)}


def test_a_reference_variable_is_followed_each_time(typed: Guest) -> None:
    """It may be set by a constructor, after it was read for the first time."""
    value, other = typed.symbol("value").address, typed.symbol("box").address
    assert typed["alias"].address_ == value
    typed.write_u64(typed.symbol("alias").address, other)
    assert typed["alias"].address_ == other


def test_debug_information_is_not_read_for_references_when_a_guest_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compiled(tmp_path, {"cxx.cpp": SOURCE}, ("-g",))
    asked: list[object] = []
    monkeypatch.setattr(Image, "has_cxx_references", property(asked.append))
    with load(path, provider="soft", console=None, memory="16M") as guest:
        guest.run(until="main", timeout=60)
        assert not asked
        guest["value"]
        assert asked
