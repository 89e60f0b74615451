"""A guest as a function from bytes to a map of edges and an outcome."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled here", exc_type=ImportError
)

from guestdbg.debugger import load
from guestdbg.fuzz import FuzzError, FuzzTarget, InputPlace
from guestdbg.kvm import KvmError, SupportsCoverageMap
from tests.cpu.support import movz
from tests.cpu.test_coverage import map_of
from tests.debugger.assembled import CODE, DATA, VECTORS, assembled
from tests.debugger.mapped import PAGE, SCATTERED, map_memory
from tests.machine.guests import guest

from .packets import (
    BUFFER,
    CRASH,
    CRASHES,
    MAGIC,
    PLAIN,
    Model,
    packet_guest,
    packet_target,
    record,
)


@pytest.fixture(scope="module")
def target() -> Iterator[FuzzTarget]:
    with packet_guest() as machine, packet_target(machine) as found:
        yield found


def records() -> st.SearchStrategy[bytes]:
    """Records as the parser knows them, most of them correct."""
    names = st.binary(max_size=25)
    numbers = st.text("0123456789/:", max_size=11).map(str.encode)
    options = st.text("abcde`Z", max_size=4).map(str.encode)
    leaf = st.one_of(
        names.map(lambda data: record("n", data)),
        numbers.map(lambda data: record("d", data)),
        options.map(lambda data: record("o", data)),
        st.just(record("e", b"")),
        st.binary(max_size=4),
    )
    several = st.lists(leaf, max_size=4).map(b"".join)
    return st.recursive(
        several,
        lambda inner: st.lists(
            st.one_of(inner, inner.map(lambda data: record("l", data[:255]))), max_size=3
        ).map(b"".join),
        max_leaves=8,
    )


@given(st.one_of(records().map(lambda data: MAGIC + data), st.binary(max_size=600)))
def test_the_guest_does_with_an_input_what_a_model_does(target: FuzzTarget, data: bytes) -> None:
    expected = Model().parse(data)
    outcome = target.run(data)
    if expected == CRASH:
        assert outcome.kind == "crash", outcome
    else:
        assert (outcome.kind, outcome.signal) == ("end", 0), outcome
        assert target.guest.cpu.x[0] == expected


def test_the_map_has_the_edges_of_coverage_for_any_input(target: FuzzTarget) -> None:
    rng = random.Random(1)
    inputs = [PLAIN, CRASHES, b"", MAGIC, *(rng.randbytes(20) for _ in range(5))]
    found = {data: bytes(target(data)[0]) for data in inputs}
    for _ in range(300):
        data = rng.choice(inputs)
        assert target(data)[0] == found[data], "always the same"
    with packet_guest() as machine:
        machine.run(until="parse")
        snapshot = machine.snapshot()
        for data in inputs:
            machine.restore(snapshot)
            InputPlace(machine, "buffer,length").put(data)
            end = machine.break_(machine.cpu.x[30])
            vector = machine.break_("vectors+0x200")
            with machine.coverage(edges=True) as coverage:
                machine.run()
            end.delete()
            vector.delete()
            edges = coverage.result().edges(el=1)
            counts = {((1, source), to): count for (source, to), count in edges.items()}
            assert map_of(Counter(counts), 1 << 16) == found[data], data
    assert len(set(found.values())) >= 5


def test_the_guest_is_the_same_for_each_input(target: FuzzTarget) -> None:
    machine = target.guest
    target.run(b"")
    place = machine.symbol("summary").address
    before = machine.read(machine.symbol("buffer").address - 64, 4096)
    target.run(PLAIN)
    assert machine.read(place, 48) != before[:48]
    target.run(b"")
    assert machine.read(machine.symbol("buffer").address - 64, 4096) == before


def test_a_crash_says_what_happened_and_where(target: FuzzTarget) -> None:
    outcome = target.run(CRASHES)
    assert outcome.kind == "crash"
    assert outcome.signal in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL)
    assert ", called from option+" in outcome.detail
    frames = [frame.location.function for frame in target.backtrace(outcome)]
    assert frames == ["option", "records", "parse", "main", "_start"]
    assert str(outcome).startswith(f"crash ({signal.Signals(outcome.signal).name}): ")


def test_points_are_crashes() -> None:
    with (
        packet_guest() as machine,
        packet_target(
            machine,
            crash=["negate", "number if x1 == 3"],
            crash_watch=["summary.factor if new == 2"],
        ) as target,
    ):
        head = MAGIC + record("n", b"a")
        for options, function in ((b"b", "negate"), (b"c", "twice")):
            outcome = target.run(head + record("o", options))
            assert (outcome.kind, outcome.signal) == ("crash", signal.SIGTRAP)
            assert function in outcome.detail
            assert target.backtrace(outcome)[0].location.function == function
        assert target.run(head + record("o", b"d")).kind == "end"
        assert target.run(MAGIC + record("d", b"123")).kind == "crash"
        assert target.run(MAGIC + record("d", b"1234")).kind == "end"
        own = machine.break_("records")
        assert target.run(MAGIC).kind == "crash", "points that are set later, too"
        own.delete()
        assert target.run(MAGIC).kind == "end"


def test_a_hang_ends_at_the_limit() -> None:
    with packet_guest() as machine, packet_target(machine, max_instructions=100) as target:
        assert target.run(b"").kind == "end"
        outcome = target.run(PLAIN)
        assert (outcome.kind, outcome.signal) == ("hang", signal.SIGXCPU)
        assert target.instructions == 100
        target.max_instructions = 200
        assert target.run(PLAIN).kind == "end"


def test_exceptions_that_are_expected() -> None:
    """The example `fault` handles its own aborts."""
    with load(guest("fault"), console=None) as machine:
        options = {"at": "main", "input": "faults,x0"}
        with FuzzTarget(machine, exceptions=False, **options) as target:  # type: ignore[arg-type]
            assert target.run(b"").kind == "end"
            outcome = target.run(b"")
            assert outcome.kind == "end", outcome
    with (
        load(guest("fault"), console=None) as machine,
        FuzzTarget(machine, at="main", input="faults,x0") as target,
    ):
        outcome = target.run(b"")
        assert (outcome.kind, outcome.signal) == ("crash", signal.SIGSEGV)
        assert outcome.detail.endswith("address 0xb000000")
        assert target.backtrace(outcome)[0].location.function == "main"


def brk(number: int) -> int:
    return 0xD4200000 | number << 5


UDF, SVC, WFI, RET = 0, 0xD4000001, 0xD503207F, 0xD65F03C0
ERET, B_SELF, HLT = 0xD69F03E0, 0x14000000, 0xD45E0000


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ([UDF], ("crash", signal.SIGILL)),
        ([brk(1)], ("crash", signal.SIGTRAP)),
        ([movz(0, 2), 0xD61F0000], ("crash", signal.SIGBUS)),  # br x0
        ([movz(0, 0), 0xD61F0000], ("crash", signal.SIGSEGV)),
        ([WFI], ("hang", signal.SIGXCPU)),
        ([B_SELF], ("hang", signal.SIGXCPU)),
        ([SVC, RET], ("end", 0)),
        ([RET], ("end", 0)),
    ],
)
def test_how_code_ends(code: list[int], expected: tuple[str, int]) -> None:
    """The function that inputs begin in is ``code``, which returns to DATA."""
    with assembled(code, vectors={0x200: [ERET]}) as machine:
        machine.cpu.set_reg("VBAR_EL1", VECTORS)
        machine.cpu.x[30] = DATA
        with FuzzTarget(
            machine,
            input=f"{DATA + 64:#x},x1",
            until=f"{DATA:#x}",
            max_length=16,
            max_instructions=1000,
        ) as target:
            for data in (b"abc", b"", b"x" * 16):
                outcome = target.run(data)
                assert (outcome.kind, outcome.signal) == expected, outcome
                assert machine.cpu.x[1] == len(data)
                assert machine.read(DATA + 64, len(data)) == data


def test_an_endless_loop_of_exceptions_is_a_crash() -> None:
    """There is nothing at the vector, and nothing that catches it."""
    with assembled([UDF]) as machine:
        machine.cpu.set_reg("VBAR_EL1", 0x1000_0000)
        place = f"{DATA:#x},x1"
        with FuzzTarget(
            machine, input=place, until=f"{DATA:#x}", max_length=4, exceptions=False
        ) as target:
            for _ in range(2):
                outcome = target.run(b"")
                assert (outcome.kind, outcome.signal) == ("crash", signal.SIGSEGV)
                assert "cannot go on" in outcome.detail


def test_exit_statuses_and_power_off() -> None:
    block = DATA + 256
    code = [movz(0, 0x20), 0xAA0203E1, HLT]  # SYS_EXIT_EXTENDED; mov x1, x2
    with assembled(code, semihosting=True) as machine:
        machine.cpu.x[2] = block
        machine.write(block, (0x20026).to_bytes(8, "little"))
        with FuzzTarget(
            machine, input=f"{block + 8:#x}", until=f"{DATA:#x}", max_length=7
        ) as target:
            outcome = target.run(b"\0\0\0\0\0\0\0")
            assert (outcome.kind, outcome.signal) == ("end", 0), outcome
            outcome = target.run(b"\7\0\0\0\0\0\0")
            assert (outcome.kind, outcome.signal) == ("crash", signal.SIGABRT), outcome
            assert "exit status 7" in outcome.detail
    with packet_guest() as machine:
        with packet_target(machine, until="power_off+0x10") as target:
            outcome = target.run(b"")
            assert outcome.kind == "end"
            assert outcome.stop is not None
            assert outcome.stop.reason == "exit"
        assert machine.ended is None, "it is at the beginning of an input again"


# ---- where an input goes ------------------------------------------------------------------------


def test_places_of_inputs() -> None:
    with packet_guest() as machine:
        machine.run(until="parse")
        buffer, length = machine.symbol("buffer").address, machine.symbol("length").address
        machine.cpu.x[5] = buffer + 8
        machine.cpu.x[6] = 0xFFFF_FFFF_FFFF_FFFF
        for text, most, at, read_length in (
            ("buffer,length", None, buffer, lambda: machine.read_u32(length)),
            ("buffer+500 , x6", None, buffer + 500, lambda: machine.cpu.x[6]),
            ("x5,w6", 20, buffer + 8, lambda: machine.cpu.x[6]),
            (f"{buffer:#x},{length:#x}:2", 9, buffer, lambda: machine.read_u16(length)),
            ("buffer,length:1", None, buffer, lambda: machine.read_u8(length)),
            ("summary.name,summary.factor", None, machine.resolve("summary.name").address, None),
        ):
            place = InputPlace(machine, text, most)
            assert place.address == at
            for data in (b"", b"abc", bytes(range(256)) * 3):
                machine.write(at, b"\xaa" * place.max_length)
                place.put(data)
                kept = data[: place.max_length]
                assert machine.read(at, len(kept)) == kept
                if read_length is not None:
                    assert read_length() == len(kept)
        assert InputPlace(machine, "buffer+500,x6").max_length == 12
        assert InputPlace(machine, "buffer,length:1").max_length == 255
        assert InputPlace(machine, "summary.name,summary.factor").max_length == 24
        text = InputPlace(machine, "buffer")
        assert text.max_length == BUFFER - 1
        text.put(b"x" * 1000)
        assert machine.read(buffer, BUFFER) == b"x" * 511 + b"\0"
        text.put(b"abc")
        assert machine.read(buffer, 5) == b"abc\0x"


def test_a_buffer_whose_pages_are_scattered() -> None:
    with assembled([0xD65F03C0]) as machine:
        map_memory(machine)
        at = SCATTERED + PAGE - 100
        place = InputPlace(machine, f"{at:#x},x1", 3 * PAGE)
        for size in (0, 1, 100, 101, 100 + PAGE, 3 * PAGE):
            data = random.Random(size).randbytes(size)
            machine.write(at, b"\xaa" * 3 * PAGE)
            place.put(data)
            assert machine.read(at, 3 * PAGE) == data + b"\xaa" * (3 * PAGE - size)
        with pytest.raises(FuzzError, match="not in memory as the guest is now"):
            InputPlace(machine, f"{at:#x},x1", 8 * PAGE)


@pytest.mark.parametrize(
    ("text", "most", "message"),
    [
        ("", None, "give BUFFER,LENGTH"),
        ("buffer,", None, "give BUFFER,LENGTH"),
        ("x0,x1", None, "give --max-length"),
        ("w0,x1", 10, "an address has 64 bits, in x0"),
        ("buffer,length", 513, "buffer has room for 512"),
        ("buffer,length", 0, "they have 1 at least"),
        ("buffer,length:1", 300, "which holds 255 at most"),
        ("buffer,summary", None, "of 48 bytes: give a register"),
        ("buffer,length:3", None, "of 3 bytes: give a register"),
        ("buffer,0x40202038", None, "of unknown size: give a register"),
        ("buffer,0x100:4", None, "the length at 0x100:4 is not in memory"),
        ("0x100,x1", 16, "not in memory as the guest is now"),
        ("0x09000000,x1", 16, "not in memory as the guest is now"),
    ],
)
def test_places_that_are_none(
    target: FuzzTarget, text: str, most: int | None, message: str
) -> None:
    with pytest.raises(FuzzError, match=message):
        InputPlace(target.guest, text, most)


# ---- what cannot be fuzzed ----------------------------------------------------------------------


def test_a_target_that_cannot_be_made_leaves_no_points() -> None:
    with (
        packet_guest() as machine,
        pytest.raises(FuzzError, match="did not come to negate if x0 == 12345: exit at"),
    ):
        packet_target(machine, at="negate if x0 == 12345", timeout=10)
    with packet_guest() as machine:
        machine.run(until="parse")
        for wrong in (
            {"crash": ["nowhere"]},
            {"crash_watch": ["nothing"]},
            {"until": "nowhere"},
            {"max_instructions": 0},
            {"input": "buffer,nothing"},
        ):
            with pytest.raises(Exception, match=r"nowhere|nothing|a run has 1 at least"):
                packet_target(machine, at=None, **wrong)
            assert len(list(machine.points)) == 0
        with packet_target(machine, at=None), pytest.raises(FuzzError, match="fuzzed already"):
            packet_target(machine, at=None)
        assert len(list(machine.points)) == 0
        with machine.coverage(), pytest.raises(FuzzError, match="coverage of this guest is on"):
            packet_target(machine, at=None)
        machine.history.start()
        with pytest.raises(FuzzError, match="has a history"):
            packet_target(machine, at=None)


def test_a_provider_without_maps_says_so() -> None:
    with (
        assembled([RET], plain=True) as machine,
        pytest.raises(FuzzError, match="needs the software provider"),
    ):
        FuzzTarget(machine, input=f"{CODE:#x},x1", max_length=4)


def test_maps_of_the_seam() -> None:
    with packet_guest() as machine:
        vcpu = machine.vcpus[0].vcpu
        assert isinstance(vcpu, SupportsCoverageMap)
        for wrong in (bytearray(), bytes(64), 64):
            with pytest.raises(KvmError, match="start_coverage_map"):
                vcpu.start_coverage_map(wrong)


def test_a_map_of_the_callers_own_size() -> None:
    counters = bytearray(4096)
    with packet_guest() as machine, packet_target(machine, counters=counters) as target:
        found, _ = target(PLAIN)
        assert bytes(found) == bytes(counters)
        assert 10 < sum(map(bool, counters)) < 60
