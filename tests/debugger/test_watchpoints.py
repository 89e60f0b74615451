"""Watchpoints on running guests: what a hit reports, and that the guest behaves as without."""

from __future__ import annotations

import contextlib
import random

import pytest

from guestdbg import STOP
from guestdbg.debugger import (
    BadRange,
    Guest,
    Hit,
    InvalidLocation,
    OutOfRegisters,
    StaleHit,
    UnknownSymbol,
    Watch,
)

from .conftest import Load


def collect(watch: Watch) -> list[Hit]:
    hits: list[Hit] = []
    watch(hits.append)
    return hits


def done(guest: Guest) -> None:
    stop = guest.run(timeout=60)
    assert stop.reason == "exit", stop


def test_the_culprit_of_the_queue_is_found(start: Load) -> None:
    guest = start("queue")

    @guest.watch("queue.tail", when=lambda hit: hit.location.function != "queue_push")
    def moved(hit: Hit) -> object:
        return STOP

    stop = guest.run(timeout=60)
    assert stop.reason == "hit"
    hit = stop.hit
    assert hit is not None
    assert hit.point is moved
    assert hit.location.function == "note_worst"
    assert (hit.location.source, hit.access) == ("stats.c:15", "write")
    assert isinstance(hit.new, int)
    assert hit.new >= guest["queue.size"]
    assert hit.old == 23
    assert hit.new == guest.read_u32(guest.symbol("queue").address + 4)
    assert [frame.location.function for frame in hit.backtrace()] == [
        "note_worst",
        "stats_record",
        "job_finish",
        "worker",
        "main",
        "_start",
    ]
    assert moved.hits == 1
    assert moved.seen > 5000
    assert stop.pc == hit.pc + 4


def test_writes_are_reported_after_they_happened(start: Load) -> None:
    guest = start("counter", at_main=True)
    values = []

    @guest.watch("counter")
    def count(hit: Hit) -> None:
        assert hit.guest.read_u64(hit.address) == hit.new
        values.append((hit.old, hit.new))

    done(guest)
    assert values == [(n, n + 1) for n in range(1000)]
    assert count.hits == 1000


def test_the_attributes_of_a_hit(start: Load) -> None:
    guest = start("counter", at_main=True)
    watch = guest.watch("counter", access="write", name="the count")
    stop = guest.run(timeout=60)
    hit = stop.hit
    assert hit is not None
    address = guest.symbol("counter").address
    assert hit.vcpu is guest.vcpus[0]
    assert hit.location.function == "count"
    assert hit.pc == guest.symbol("count").address + hit.location.offset
    assert hit.location.source == "counter.c:25"
    assert (hit.access, hit.address, hit.size) == ("write", address, 8)
    assert (hit.old, hit.new, hit.new_reason) == (0, 1, None)
    assert hit.syndrome >> 26 == 0x34
    assert hit.syndrome & 1 << 6
    assert hit.far == address
    assert hit.point is watch
    assert hit.count == 1
    assert hit.guest is guest
    assert "the count" in str(hit)
    functions = [frame.location.function for frame in hit.backtrace()]
    assert functions == ["count", "inner", "middle", "outer", "main", "_start"]


def test_members_of_every_size(start: Load) -> None:
    guest = start("counter", at_main=True)
    hits = {
        name: collect(guest.watch(f"sizes.{name}"))
        for name in ("byte", "half", "word", "doubleword")
    }
    done(guest)
    for name, size in (("byte", 1), ("half", 2), ("word", 4), ("doubleword", 8)):
        written = [n % (1 << 8 * size) for n in range(0, 1000, 100)]
        # The value is that of the whole member alone; the compiler may write neighbours with it.
        assert [hit.new for hit in hits[name]] == written, name
        assert {hit.size for hit in hits[name]} == {size}


def test_a_pair_is_one_hit_of_each_watch(start: Load) -> None:
    guest = start("counter", at_main=True)
    whole = collect(guest.watch("pair"))
    second = collect(guest.watch("pair[1]"))
    done(guest)
    assert [hit.new for hit in second] == [n + 1 for n in range(0, 1000, 100)]
    assert [hit.new for hit in whole] == [
        n.to_bytes(8, "little") + (n + 1).to_bytes(8, "little") for n in range(0, 1000, 100)
    ]
    address = guest.symbol("pair").address
    assert {(hit.address, hit.size) for hit in whole} == {(address, 16)}
    assert {(hit.address, hit.size) for hit in second} == {(address + 8, 8)}
    assert {(hit.access_address, hit.access_size) for hit in second} == {(address, 16)}


def test_an_array_wider_than_a_register(start: Load) -> None:
    guest = start("counter", at_main=True)
    base = guest.symbol("table").address
    with pytest.raises(OutOfRegisters, match=r"5 registers: .*\n.*\n.*overwatch=512"):
        guest.watch("table")
    hits = collect(guest.watch("table", 240))
    done(guest)
    assert len(hits) == 600
    assert [hit.address for hit in hits[:60]] == [base + 4 * n for n in range(60)]
    assert [hit.new for hit in hits[60:120]] == [100 + n for n in range(60)]


def test_a_whole_array_by_watching_a_little_more(
    start: Load, caplog: pytest.LogCaptureFixture
) -> None:
    guest = start("counter", at_main=True, overwatch=512)
    hits = collect(guest.watch("table"))
    assert "one register watches" in caplog.text
    done(guest)
    assert len(hits) == 640


def test_a_range_that_takes_several_registers(start: Load) -> None:
    guest = start("counter", at_main=True)
    base = guest.symbol("table").address
    hits = collect(guest.watch(base + 4, 24))
    assert guest._target.armed.allocation.used[1] > 1
    done(guest)
    assert [hit.address for hit in hits[:6]] == [base + 4 * n for n in range(1, 7)]
    assert len(hits) == 60


def test_reads_and_any_access(start: Load) -> None:
    guest = start("counter", at_main=True)
    reads = collect(guest.watch("counter", access="read"))
    both = collect(guest.watch("counter", access="any"))
    stop = guest.run(timeout=60)
    assert stop.reason == "exit"
    assert len(reads) == 1001  # the increments read it, and the report at the end
    assert {hit.access for hit in reads} == {"read"}
    assert {hit.new for hit in reads} == {None}
    assert {hit.new_reason for hit in reads} == {"the instruction only reads"}
    assert [hit.old for hit in reads] == list(range(1001))
    assert len(both) == 2001
    assert sum(hit.access == "write" for hit in both) == 1000


def test_two_watches_in_one_word(start: Load) -> None:
    guest = start("counter", at_main=True)
    base = guest.symbol("counter").address
    low = collect(guest.watch(base, 1))
    high = collect(guest.watch(base + 1, 1))
    beyond = collect(guest.watch(base + 4, 4, access="read"))
    done(guest)
    assert len(low) == len(high) == 1000
    assert [hit.new for hit in high] == [n + 1 >> 8 for n in range(1000)]
    assert len(beyond) == 1001
    assert guest._target.armed.allocation.used[1] <= 4


def test_before_the_access(start: Load) -> None:
    guest = start("counter", at_main=True)
    seen = []

    @guest.watch("counter", before=True)
    def about(hit: Hit) -> object:
        assert hit.vcpu.pc == hit.pc
        assert hit.guest.read_u64(hit.address) == hit.old
        assert hit.new is None
        seen.append(hit.old)
        return STOP if hit.old == 5 else None

    stop = guest.run(timeout=60)
    assert stop.reason == "hit"
    assert stop.hit is not None
    assert stop.pc == stop.hit.pc
    assert seen == [0, 1, 2, 3, 4, 5]
    # The next run makes the access, and does not report it again.
    about.handler = lambda hit: seen.append(hit.old)
    done(guest)
    assert seen == list(range(1000))


def test_a_handler_before_the_access_may_prevent_it(start: Load) -> None:
    guest = start("counter", at_main=True)

    @guest.watch("counter", before=True)
    def skip(hit: Hit) -> None:
        hit.vcpu.pc = hit.pc + 4

    done(guest)
    assert skip.hits == 1000
    assert guest.read_u64(guest.symbol("counter").address) == 0


def test_an_access_is_reported_again_after_the_pc_was_set(start: Load) -> None:
    guest = start("counter", at_main=True)
    reported = guest.watch("counter", before=True)
    hit = guest.run(timeout=60).hit
    assert hit is not None
    entry = guest.symbol("count").address
    for turn in range(3):
        # The access is not made, its function run once more from its start.
        guest.cpu.pc = entry
        stop = guest.run(timeout=60)
        assert stop.reason == "hit"
        assert stop.pc == hit.pc
        assert reported.hits == turn + 2
    assert guest.read_u64(hit.address) == 0
    reported.delete()
    done(guest)
    assert guest.read_u64(hit.address) == 1000


def test_conditions_ignore_counts_and_counts(start: Load) -> None:
    guest = start("counter", at_main=True)
    reported: list[tuple[object, int]] = []
    watch = guest.watch("counter", when=lambda hit: hit.new % 10 == 0, ignore=3)
    watch(lambda hit: reported.append((hit.new, hit.count)))
    done(guest)
    assert (watch.seen, watch.hits) == (1000, 100)
    assert reported == [(10 * n, n) for n in range(4, 101)]


def test_one_handler_for_several_watches(start: Load) -> None:
    guest = start("counter", at_main=True)
    names = set()

    @guest.watch("counter")
    @guest.watch("lock")
    def touched(hit: Hit) -> None:
        names.add(hit.point.name)

    done(guest)
    assert names == {"counter", "lock"}


def test_disable_enable_delete(start: Load) -> None:
    guest = start("counter", at_main=True)
    hits: list[object] = []

    @guest.watch("counter")
    def few(hit: Hit) -> object:
        hits.append(hit.new)
        if hit.new == 3:
            few.enabled = False
        return STOP

    for _ in range(3):
        assert guest.run(timeout=60).reason == "hit"
    assert not few.enabled
    assert guest.run(until="give_lock", timeout=60).reason == "until"
    few.enabled = True
    stop = guest.run(timeout=60)
    assert stop.reason == "hit"
    few.delete()
    few.delete()
    done(guest)
    assert few.hits == 4


def test_the_guest_can_be_changed_in_a_handler(start: Load) -> None:
    out = bytearray()
    guest = start("counter", at_main=True, console=out.extend)

    @guest.watch("counter", when=lambda hit: hit.new == 1000)
    def cheat(hit: Hit) -> None:
        hit.guest.write_u64(hit.address, 4242)

    done(guest)
    assert b"counter: 4242" in out


def test_watching_does_not_change_what_the_guest_does(start: Load) -> None:
    plain, watched = bytearray(), bytearray()
    done(start("counter", at_main=True, console=plain.extend))
    guest = start("counter", at_main=True, console=watched.extend)
    for what in ("counter", "sizes.half", "lock", "pair"):
        collect(guest.watch(what, access="any"))
    collected: list[Hit] = []
    guest.break_("count")(collected.append)
    done(guest)
    assert watched == plain
    assert len(collected) == 1000


def test_a_lock_can_be_watched(start: Load) -> None:
    """Stepping within load-exclusive/store-exclusive would fail the store for ever."""
    guest = start("counter", at_main=True)
    hits = collect(guest.watch("lock"))
    done(guest)
    assert [(hit.old, hit.new) for hit in hits] == [(0, 1), (1, 0)] * 10
    assert [hit.location.function for hit in hits[:2]] == ["take_lock", "give_lock"]
    raw = guest.read_u32(hits[0].pc)
    assert raw & 0x3FE00000 == 0x08000000  # STXR: the writer, not where the sequence ended


def test_a_lock_can_be_watched_for_reads(start: Load) -> None:
    guest = start("counter", at_main=True)
    reads = collect(guest.watch("lock", access="read"))
    both = collect(guest.watch("lock", access="any"))
    done(guest)
    assert [(hit.access, hit.old, hit.new) for hit in reads] == [("read", 0, None)] * 10
    assert [(hit.access, hit.old, hit.new) for hit in both] == [
        ("readwrite", 0, 1),
        ("write", 1, 0),
    ] * 10


def test_a_device_register_can_be_watched(start: Load) -> None:
    out = bytearray()
    guest = start("hello", console=out.extend)
    sent = collect(guest.watch(0x0900_0000, 4))
    polled = collect(guest.watch(0x0900_0018, 4, access="read"))
    done(guest)
    assert out == b"Hello from EL1\n"
    assert bytes(hit.new for hit in sent) == bytes(out)
    assert {hit.location.function for hit in sent} == {"put_char"}
    assert len(polled) >= len(sent)
    assert {hit.new for hit in polled} == {None}


def test_virtual_addresses_and_el0(start: Load) -> None:
    guest = start("mmu", at_main=True)
    hits = collect(guest.watch("syscalls"))
    user = collect(guest.watch(0x401000, 128, access="any", el="el0"))
    kernel = collect(guest.watch(0x401000, 8, access="any", el="el1"))
    done(guest)
    assert hits
    assert [hit.new for hit in hits] == list(range(1, len(hits) + 1))
    assert {hit.location.source for hit in hits} == {"mmu.c:52"}
    assert user
    assert kernel == []
    assert {hit.access for hit in user} >= {"read"}


def test_too_many_watches_say_why(start: Load) -> None:
    guest = start("counter", at_main=True)
    guest.watch("counter")
    guest.watch("lock")
    with pytest.raises(OutOfRegisters) as refused:
        guest.watch(guest.symbol("table").address + 4, 200)
    text = str(refused.value)
    assert "this guest has 4" in text
    assert "counter: 8 bytes" in text
    assert "registers: 0x" in text
    # Nothing has changed: what was there still works, and there is still room.
    guest.watch("pair")
    done_hits = collect(guest.watch("sizes.word"))
    for point in list(guest.points):
        if point.name != "sizes.word":
            point.delete()
    done(guest)
    assert len(done_hits) == 10


def test_a_register_covers_more_if_overwatch_permits(
    start: Load, caplog: pytest.LogCaptureFixture
) -> None:
    guest = start("counter", at_main=True, overwatch=4096)
    base = guest.symbol("table").address
    hits = [collect(guest.watch(base + 8 * n, 4)) for n in range(6)]
    assert "for the sake of several watches" in caplog.text
    done(guest)
    for n, found in enumerate(hits):
        assert [hit.new for hit in found] == [r + 2 * n for r in range(0, 1000, 100)]


def test_bad_watches_are_refused(start: Load) -> None:
    guest = start("counter", at_main=True)
    with pytest.raises(BadRange, match="0 bytes"):
        guest.watch("counter", 0)
    with pytest.raises(BadRange, match="-4 bytes"):
        guest.watch(0x4000_0000, -4)
    with pytest.raises(BadRange):
        guest.watch(0xFFFF_FFFF_FFFF_FFF8, 16)
    with pytest.raises(BadRange, match="neither half"):
        guest.watch(0x0010_0000_0000_0000, 8)
    with pytest.raises(UnknownSymbol, match="did you mean 'counter'"):
        guest.watch("countr")
    with pytest.raises(UnknownSymbol, match="doubleword"):
        guest.watch("sizes.doublewird")
    with pytest.raises(InvalidLocation, match="is a source line"):
        guest.watch("counter.c:25")
    with pytest.raises(InvalidLocation, match="access"):
        guest.watch("counter", access="write-ish")  # type: ignore[arg-type]
    with pytest.raises(InvalidLocation):
        guest.watch("counter", ignore=-1)
    assert guest._target.armed.allocation.used == (0, 0)


def test_a_stale_hit_says_so(start: Load) -> None:
    guest = start("counter", at_main=True)
    hits = collect(guest.watch("counter"))
    guest.run(until="write_pair", timeout=60)
    with pytest.raises(StaleHit):
        hits[0].backtrace()
    assert hits[0].location.function == "count"
    assert (hits[0].old, hits[0].new) == (0, 1)


def test_linked_to_a_context(start: Load) -> None:
    guest = start("counter", at_main=True)
    never = collect(guest.watch("counter", context=7))
    done(guest)
    assert never == []
    again = start("counter", at_main=True)
    always = collect(again.watch("counter", context=0))
    done(again)
    assert len(always) == 1000
    used = again._target.armed.allocation
    assert used.dbg_bcr[-1] & 1, "a context is matched by the highest-numbered breakpoint"


def test_taking_a_watch_out_never_fails(start: Load) -> None:
    """Watches that few registers cover together, and many without the one that joined them.

    No one register covers what crosses 2^48, and four cover it exactly.
    """
    machine = start("mmu")
    machine.watch(0x4040_0000, 0x20, access="read")
    big = machine.watch(0x1_0000_0000_0000, 0x1000, access="any")
    odd = machine.watch(0xFFFF_FFFF_FFFC, 0x20, access="any")
    machine.watch(0xFFFF_FF80_4021_2FFC, 4, access="any")
    big.delete()
    # Breakpoints have registers of their own.
    machine.break_("main", kind="hardware").delete()
    with pytest.raises(OutOfRegisters):
        machine.watch(0x4050_0000, 4)
    assert sum(control & 1 for control in machine.execution.armed.dbg_wcr) <= 4
    odd.delete()
    assert sum(control & 1 for control in machine.execution.armed.dbg_wcr) == 2
    machine.watch(0x4050_0000, 4)


@pytest.mark.parametrize("seed", range(20))
def test_watches_come_and_go_at_random(start: Load, seed: int) -> None:
    chance = random.Random(seed)
    machine = start("mmu")
    points: list[Watch] = []
    edges = [0x4040_0000, 1 << 31, 1 << 32, 1 << 48, 0xFFFF_FF80_4021_2000]
    for _ in range(200):
        if points and chance.random() < 0.4:
            points.pop(chance.randrange(len(points))).delete()
            continue
        address = chance.choice(edges) + chance.randrange(-40, 40)
        length = chance.choice([1, 4, 8, 0x20, 0x30, 0x1000])
        with contextlib.suppress(OutOfRegisters, BadRange):
            points.append(machine.watch(address, length, chance.choice(["read", "write", "any"])))
    for point in points:
        point.delete()
    assert not any(control & 1 for control in machine.execution.armed.dbg_wcr)
