"""There is one count and one order of hits, whether the provider evaluates them or Python does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from guestdbg.debugger import ConditionError, Guest, Hit, InvalidLocation, Stop

from .assembled import CODE, IRQ_LINE_CPU, RAM, VECTORS, assembled, ldadd
from .mapped import PAGE, SCATTERED, map_memory

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

ADD_1 = 0x91000421  # add x1, x1, #1
HVC = 0xD4000002
DATA = SCATTERED
PAGE_END = DATA + PAGE
WATCHED = PAGE_END - 1

STR_X0 = 0xF9000001  # str x1, [x0]
STR_X2 = 0xF9000041  # str x1, [x2]
STRB_X3 = 0x39000061  # strb w1, [x3]
DC_ZVA_X3 = 0xD50B7423
STP_Q_X2 = 0xAD000440  # stp q0, q1, [x2]
ST1_X2 = 0x4C007040  # st1 {v0.16b}, [x2]
CAS_X3 = 0x08A27C61  # casb w2, w1, [x3], which fails
SWP_X3 = 0x38208064  # swpb w0, w4, [x3]
CASP_X5 = 0x48207CA2  # casp x0, x1, x2, x3, [x5]


@pytest.fixture(params=[True, False], ids=["provider", "python"])
def way(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def guest_of(way: bool, *code: int, **options: Any) -> Guest:
    guest = assembled([*code, HVC], use_hit_programs=way, **options)
    map_memory(guest)
    cpu = guest.cpu
    cpu.x[1], cpu.x[0], cpu.x[2], cpu.x[3] = 1, PAGE_END - 8, PAGE_END - 4, WATCHED
    return guest


def finish(guest: Guest) -> list[Stop]:
    """All stops until the guest has executed its code."""
    stops = []
    end = guest.break_(CODE + 4 * _words(guest), kind="hardware")
    for _ in range(64):
        stops.append(guest.run(max_instructions=10_000))
        if stops[-1].hit is not None and stops[-1].hit.point is end:
            return stops[:-1]
    raise AssertionError("the guest does not end")


def _words(guest: Guest) -> int:
    n = 0
    while guest.read_u32(CODE + 4 * n) != HVC:
        n += 1
    return n


#: Stores of which every other one is not for the provider alone.
MIXED = (STRB_X3, ADD_1, STR_X2, ADD_1, STRB_X3, DC_ZVA_X3, ADD_1, STP_Q_X2, ST1_X2, STRB_X3)
STORES = 7


@pytest.mark.parametrize("count", range(1, STORES + 2))
def test_a_condition_over_the_count(way: bool, count: int) -> None:
    with guest_of(way, *MIXED) as guest:
        point = guest.watch(WATCHED, 1, when=f"count == {count}")
        stops = finish(guest)
        assert [stop.hit.pc for stop in stops if stop.hit] == [
            CODE + 4 * n for n, word in enumerate(MIXED) if word != ADD_1
        ][count - 1 : count]
        assert (point.seen, point.hits) == (STORES, len(stops))


@pytest.mark.parametrize("limit", [None, *range(1, STORES + 1)])
def test_a_recording(way: bool, limit: int | None) -> None:
    with guest_of(way, *MIXED) as guest:
        rows = guest.record(WATCHED, 1, limit=limit)
        other = guest.watch(WATCHED - 1, 1, when="count == 2")
        lengths: list[int] = []
        other(lambda hit: lengths.append(len(rows)))
        stops = finish(guest)
        kept = limit or STORES
        assert [row.number for row in rows] == list(range(1, kept + 1))
        assert [row.pc for row in rows] == [
            CODE + 4 * n for n, word in enumerate(MIXED) if word != ADD_1
        ][:kept]
        assert [row.instructions for row in rows] == sorted(row.instructions for row in rows)
        assert (rows.seen, rows.hits, len(stops)) == (kept, kept, 1 if limit else 0)
        assert lengths == [min(4, kept)]
        if limit:
            stop = stops[0]
            assert (stop.reason, stop.pc) == ("hit", list(rows)[-1].pc + 4)
            assert stop.hit is not None
            assert (stop.hit.point, stop.hit.count) == (rows, limit)
            assert f"{limit} records, its limit" in stop.detail
            assert not rows.enabled


def test_recordings_that_are_full_at_once(way: bool) -> None:
    """Both end, in one stop, and neither is left without room."""
    with guest_of(way, STRB_X3, ADD_1, STRB_X3, ADD_1, STRB_X3) as guest:
        first = guest.record(WATCHED, 1, limit=2)
        second = guest.record(WATCHED, 1, limit=2)
        third = guest.watch(WATCHED, 1, when="new == 2")
        stops = finish(guest)
        assert [[hit.point for hit in stop.hits] for stop in stops] == [[first, second, third]]
        assert (len(first), len(second), first.enabled, second.enabled) == (2, 2, False, False)


def test_a_full_recording_is_not_enabled_again(way: bool) -> None:
    with guest_of(way, STRB_X3, ADD_1, STRB_X3, ADD_1, STRB_X3) as guest:
        rows = guest.record(WATCHED, 1, limit=1)
        assert guest.run().hit is not None
        with pytest.raises(InvalidLocation, match=r"has the 1 records of its limit: clear\(\)"):
            rows.enabled = True
        rows.clear()
        rows.enabled = True
        assert guest.run().hit is not None
        assert [row.number for row in rows] == [2]
        with pytest.raises(InvalidLocation, match="calls no handler"):
            rows(print)


def test_what_a_handler_sees_of_a_recording(way: bool) -> None:
    """All that counts is done before handlers are called."""
    with guest_of(way, STRB_X3, ADD_1, STR_X2, ADD_1, STRB_X3) as guest:
        before = guest.watch(WATCHED, 1)
        rows = guest.record(WATCHED, 1)
        after = guest.watch(WATCHED, 1, when="count > 0")
        saw: list[tuple[int, ...]] = []

        def look(hit: Hit) -> None:
            saw.append((before.seen, before.hits, rows.seen, len(rows), after.seen, after.hits))

        before(look)
        after(look)
        finish(guest)
        assert saw == [(n,) * 6 for n in (1, 1, 2, 2, 3, 3)]


def test_counts_changed_by_a_handler_are_continued(way: bool) -> None:
    with guest_of(way, *(STRB_X3, ADD_1) * 6) as guest:
        point = guest.watch(WATCHED, 1, when="count == 3")
        values: list[int] = []

        @point
        def again(hit: Hit) -> None:
            values.append(hit.new)
            point.seen = 0

        finish(guest)
        assert values == [3, 6]


def test_single_steps_count(way: bool) -> None:
    with guest_of(way, *(STRB_X3, ADD_1) * 5) as guest:
        point = guest.watch(
            WATCHED, 1, when="count in (2, 5)" if way else "count == 2 or count == 5"
        )
        rows = guest.record(WATCHED, 1)
        values = []
        for _ in range(3):
            stop = guest.step(2)
            values += [hit.new for hit in stop.hits]
            if stop.hits:
                guest.step()
        values += [hit.new for stop in finish(guest) for hit in stop.hits]
        assert values == [2, 5]
        assert [row.number for row in rows] == [1, 2, 3, 4, 5]
        assert point.seen == 5


PAIRS = {
    "stp q": 0xAD000440,
    "ldp q": 0xAD400440,
    "stp x": 0xA9000440,
    "ldp x": 0xA9401844,
    "st1": 0x4C00A040,  # {v0.16b, v1.16b}
    "ld1": 0x4C40A040,
    "ld4": 0x0C400040,  # {v0.8b - v3.8b}
    "st2": 0x4C008040,
}


@pytest.mark.parametrize("offset", [0, 1, 4, 9, 0x1000 - 12])
@pytest.mark.parametrize("name", PAIRS)
def test_sizes(way: bool, name: str, offset: int) -> None:
    """``size`` is of the watched bytes that were accessed, ``access_size`` of all accessed ones."""
    whole = 16 if name.endswith(" x") else 32
    with guest_of(way, PAIRS[name]) as guest:
        guest.cpu.x[2] = start = DATA + offset
        points = {
            guest.watch(start + first, length, access="any"): min(length, whole - first)
            for first, length in ((0, 1), (whole // 2, 2), (whole - 1, 1), (whole - 2, 4))
        }
        hits = [hit for stop in finish(guest) for hit in stop.hits]
        assert {hit.point: hit.size for hit in hits} == points
        assert {hit.access_size for hit in hits} == {whole}
        assert {hit.access_address for hit in hits} == {start}


ATOMICS = {
    "ldadd": ldadd(1, 4, 5),
    "stadd": ldadd(1, 31, 5),
    "swp": 0xF82080A4,  # swp x0, x4, [x5]
    "cas that fails": 0xC8A47CA1,  # cas x4, x1, [x5]
    "cas": 0xC8A67CA1,  # cas x6, x1, [x5]
    "casp": 0x48267CA2,  # casp x6, x7, x2, x3, [x5]
    "casp that fails": 0x48207CA2,
}


@pytest.mark.parametrize("name", ATOMICS)
def test_atomics_read_and_write(way: bool, name: str) -> None:
    with guest_of(way, ATOMICS[name]) as guest:
        guest.cpu.x[5], guest.cpu.x[4] = DATA, 99
        rows = guest.record(DATA, 8, access="any")
        writes = guest.record(DATA, 8)
        watch = guest.watch(DATA, 8, access="any")
        [stop] = finish(guest)
        assert stop.hit is not None
        fails = name.endswith("fails")
        assert [(row.access, row.new == row.old) for row in rows] == [("readwrite", fails)]
        assert [row.access for row in writes] == ["readwrite"]
        assert (stop.hit.point, stop.hit.access) == (watch, "readwrite")


def test_vcpus_share_a_count_and_a_recording(way: bool) -> None:
    loop = (STRB_X3, ADD_1) * 40
    with assembled([*loop, 0x14000000], vcpus=2, use_hit_programs=way) as guest:
        map_memory(guest)
        for n, cpu in enumerate(guest.vcpus):
            cpu.pc, cpu.x[1], cpu.x[3] = CODE, 1 + 100 * n, WATCHED
            guest.board.vcpus[n].set_mp_state(0)
        rows = guest.record(WATCHED, 1)
        tenth = guest.watch(WATCHED, 1, when="count % 10 == 0")
        counts: list[int] = []
        tenth(lambda hit: counts.append(tenth.seen))
        assert guest.run(max_instructions=250_000).reason == "limit"
        assert [row.number for row in rows] == list(range(1, 81))
        assert counts == list(range(10, 90, 10))


@pytest.mark.parametrize("kind", ["hardware", "software"])
def test_breakpoints_count_beside_watches(way: bool, kind: Any) -> None:
    with guest_of(way, *(STRB_X3, ADD_1) * 3) as guest:
        guest.cpu.x[4] = RAM
        points = [
            guest.break_(CODE + 8 * n, kind=kind, when=when)
            for n, when in enumerate(["count == 2", "count == 1", f"u32[{CODE + 16:#x}] != 0"])
        ]
        stops = finish(guest)
        assert [stop.hit.point for stop in stops if stop.hit] == points[1:]
        assert [point.seen for point in points] == [1, 1, 1]


def test_a_moved_brk_is_not_read_by_a_condition(way: bool) -> None:
    """BRK instructions are put back after the guest has written over them."""
    copy: Callable[..., int] = lambda rt, rn: 0xB9000000 | rn << 5 | rt  # str wt, [xn]  # noqa: E731
    nop = 0xD503201F
    code = (copy(5, 6), nop, STRB_X3, nop, nop, STRB_X3)
    with guest_of(way, *code) as guest:
        place = CODE + 4 * 4
        guest.cpu.x[5], guest.cpu.x[6] = ADD_1, place
        moved = guest.break_(place, kind="software")
        point = guest.watch(WATCHED, 1, when=f"u32[{place:#x}] == {ADD_1:#x}")
        stops = []
        assert guest.run(max_instructions=1).reason == "limit"
        stops = finish(guest)
        assert [stop.hit.point for stop in stops if stop.hit] == [point, moved, point]


# ---- exclusive sequences ----------------------------------------------------------------------

MOV_LOOP_2 = 0xD280005C  # mov x28, #2
LDXR_X0 = 0xC85F7C04  # ldxr x4, [x0]
ADD_X4 = 0x91000484  # add x4, x4, #1
STXR_X0 = 0xC8057C04  # stxr w5, x4, [x0]
RETRY = 0x35FFFFA5  # cbnz w5, 3 instructions back
SUB_LOOP = 0xD100079C  # sub x28, x28, #1
SEQUENCE = (LDXR_X0, ADD_X4, STXR_X0, RETRY)
VECTOR = {0x200: (0xD538403D, 0x910013BD, 0xD518403D, 0xD69F03E0)}  # go on after the instruction


def again(words_back: int) -> int:
    """CBNZ X28, so many instructions back."""
    return 0xB5000000 | (-words_back & 0x7FFFF) << 5 | 28


@pytest.mark.parametrize("by", ["run", "step", "breakpoint"])
@pytest.mark.parametrize("access", ["read", "write", "any"])
def test_watches_in_an_exclusive_sequence(way: bool, by: str, access: Any) -> None:
    """They are reported also where no watch stops in it: it began with a step, or at a
    breakpoint.
    """
    with guest_of(way, *SEQUENCE) as guest:
        guest.cpu.x[0] = DATA
        watch = guest.watch(DATA + 4, 8, access)
        rows = guest.record(DATA, 8, access)
        hits: list[Hit] = []
        watch(hits.append)
        if by == "breakpoint":
            guest.break_(CODE, when="count > 1")
        if by == "step":
            assert guest.step().pc == CODE + 4 * len(SEQUENCE)
        finish(guest)
        name = {"read": "read", "write": "write", "any": "readwrite"}[access]
        pc = CODE if access == "read" else CODE + 8
        if access == "write" and by == "run":
            assert watch.seen == 1  # stopped at the store, and run again from the load
        assert [(hit.pc, hit.access, hit.access_size) for hit in hits] == [(pc, name, 8)]
        assert [(hit.address, hit.size) for hit in hits] == [(DATA + 4, 4)]
        assert [(row.pc, row.access) for row in rows] == [(pc, name)]
        assert [(row.old, row.new) for row in rows] == [(0, None if access == "read" else 1)]


def test_a_false_breakpoint_at_a_load_exclusive(way: bool) -> None:
    """The sequence is run as a whole, whoever has found its condition false."""
    with guest_of(way, *SEQUENCE) as guest:
        guest.cpu.x[0] = DATA
        point = guest.break_(CODE, when="x1 == 7")
        hits: list[tuple[Any, ...]] = []
        guest.watch(DATA, 8)(lambda hit: hits.append((hit.pc, hit.old, hit.new, hit.syndrome)))
        finish(guest)
        assert hits == [(CODE + 8, 0, 1, 0)]
        assert (point.seen, point.hits) == (1, 0)
        assert guest.board.vcpus[0].instructions == len(SEQUENCE), "tried once"


def test_a_loop_around_a_sequence_is_not_its_retry(way: bool) -> None:
    code = (MOV_LOOP_2, LDXR_X0, STXR_X0, SUB_LOOP, again(3))
    with guest_of(way, *code) as guest:
        guest.cpu.x[0] = DATA
        rows = guest.record(DATA, 8, "any")
        finish(guest)
        assert len(rows) == 2


def test_an_exclusive_that_faults_is_an_arrival_each_time(way: bool) -> None:
    code = (MOV_LOOP_2, LDXR_X0, STXR_X0, SUB_LOOP, again(3))
    with guest_of(way, *code, vectors=VECTOR) as guest:
        guest.cpu.set_reg("VBAR_EL1", VECTORS)
        guest.cpu.x[0] = DATA + 0x8000  # not mapped
        point = guest.break_(CODE + 4, when="x1 == 7")
        finish(guest)
        assert point.seen == 2


@pytest.mark.parametrize("by", ["run", "step", "breakpoint"])
@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("access", ["read", "write", "any"])
def test_before_the_accesses_of_a_sequence(way: bool, by: str, stops: bool, access: Any) -> None:
    code = (MOV_LOOP_2, *SEQUENCE, SUB_LOOP, again(5))
    with guest_of(way, *code) as guest:
        guest.cpu.x[0] = DATA
        watch = guest.watch(DATA, 8, access, before=True)
        if not stops:
            watch(lambda hit: None)
        if by == "breakpoint":
            guest.break_(CODE + 4, when="count > 9")
        while by == "step" and guest.cpu.pc != CODE + 4 * len(code):
            guest.step()
        finish(guest)
        assert watch.hits == 2
        assert guest.read_u64(DATA) == 2


@pytest.mark.parametrize("by", ["run", "step"])
def test_before_a_sequence_by_a_watch_that_reaches_into_nothing(way: bool, by: str) -> None:
    """There is no memory below DATA: the watched value cannot be read, the access is made."""
    code = (MOV_LOOP_2, *SEQUENCE, SUB_LOOP, again(5))
    with guest_of(way, *code) as guest:
        guest.cpu.x[0] = DATA
        watch = guest.watch(DATA - 1, 2, before=True)
        watch(lambda hit: None)
        guest.watch(DATA, 8, "read", when="count == 9")
        while by == "step" and guest.cpu.pc != CODE + 4 * len(code):
            guest.step()
        finish(guest)
        assert (watch.seen, watch.hits) == (2, 2)
        assert guest.read_u64(DATA) == 2


# ---- stops before an access -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hardware", "software"])
@pytest.mark.parametrize("when", [None, "x1 == 7"])
def test_a_stop_before_the_access_at_a_breakpoint(way: bool, kind: Any, when: Any) -> None:
    """The breakpoint is reached once, though the vCPU is resumed at it twice."""
    with guest_of(way, STRB_X3, ADD_1) as guest:
        point = guest.break_(CODE, kind=kind, when=when)
        watch = guest.watch(WATCHED, 1, before=True)
        finish(guest)
        assert (point.seen, watch.hits) == (1, 1)
        assert guest.read_u8(WATCHED) == 1


def test_a_stop_before_an_access_that_is_not_made(way: bool) -> None:
    """The register that has its address is changed: the next access there is a new hit."""
    code = (MOV_LOOP_2, STRB_X3, 0xAA0603E3, SUB_LOOP, again(3))  # mov x3, x6
    with guest_of(way, *code) as guest:
        watch = guest.watch(WATCHED, 1, before=True)
        guest.cpu.x[6] = WATCHED
        assert guest.run().hit is not None
        guest.cpu.x[3] = DATA
        assert guest.run().hit is not None
        assert (watch.hits, guest.cpu.x[28]) == (2, 1)


UNMASK = 0xD50342FF  # msr DAIFClr, #2
IRQ_VECTOR = {0x280: (0xD538401D, 0xB27903BD, 0xD518401D, 0xD69F03E0)}  # masked from then on


@pytest.mark.parametrize("kind", ["hardware", "software"])
def test_a_step_that_an_interrupt_delays_at_a_breakpoint(way: bool, kind: Any) -> None:
    with guest_of(way, UNMASK, ADD_1, ADD_1, vectors=IRQ_VECTOR) as guest:
        guest.cpu.set_reg("VBAR_EL1", VECTORS)
        guest.cpu.x[29] = 0
        guest.board.vm.irq_line(IRQ_LINE_CPU, 1)
        point = guest.break_(CODE + 4, kind=kind, when="x1 == 7")
        guest.step(2)
        assert (guest.cpu.pc, guest.cpu.x[1]) == (CODE + 8, 2)
        assert guest.cpu.x[29], "the interrupt was taken"
        finish(guest)
        assert (point.seen, point.hits) == (1, 0)


LDR_DEVICE = 0xB9402804  # ldr w4, [x0, #0x28]: FBRD of the UART


@pytest.mark.parametrize("by", ["run", "step", "breakpoint"])
def test_a_step_over_an_access_to_a_device_is_one_instruction(way: bool, by: str) -> None:
    with guest_of(way, LDR_DEVICE, ADD_1, ADD_1) as guest:
        guest.cpu.x[0] = 0x0900_0000
        at: list[tuple[int, int]] = []
        guest.watch(0x0900_0028, 4, "read")(lambda hit: at.append((hit.pc, hit.vcpu.pc)))
        if by == "breakpoint":
            guest.break_(CODE, when="x1 == 7")
        if by == "step":
            assert guest.step().pc == CODE + 4
        finish(guest)
        assert at == [(CODE, CODE + 4)]
        assert guest.cpu.x[1] == 3


# ---- others -----------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [0, 5])
def test_a_watch_for_a_context_is_hit_in_steps(way: bool, context: int) -> None:
    with guest_of(way, STRB_X3, ADD_1, STRB_X3, ADD_1, STRB_X3) as guest:
        watch = guest.watch(WATCHED, 1, context=context)
        watch(lambda hit: None)
        guest.break_(CODE + 8, when="x1 == 7")
        guest.step(2)
        finish(guest)
        assert watch.hits == (0 if context else 3)


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_a_condition_leaves_the_other_points_counted(way: bool, failing: int) -> None:
    with guest_of(way, STRB_X3, ADD_1, STRB_X3) as guest:
        conditions: list[str | None] = [None, "count > 0"]
        conditions.insert(failing, "u8[0x10] == x9")
        points = [guest.watch(WATCHED, 1, when=when) for when in conditions]
        rows = guest.record(WATCHED, 1)
        for each in points:
            each(lambda hit: None)
        with pytest.raises(ConditionError, match=r"0x10"):
            guest.run()
        seen = [(each.seen, each.hits) for each in points]
        assert seen[failing] == (1, 0)
        del seen[failing]
        assert seen == [(1, 1), (1, 1)]
        assert len(rows) == 1
