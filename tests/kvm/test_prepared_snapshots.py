"""The snapshot after ``prepare_snapshot`` shares pages with the one that was named."""

import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.kvm import KvmError, Snapshot, SupportsRepeatedRuns

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from tests.kvm.test_snapshots import PAGE, RAM, machine, private

PAGES = 12


@given(data=st.data(), reports=st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_snapshot_can_be_shared_with(data: st.DataObject, reports: bool) -> None:
    """What was taken or restored since, and whether that is there still, makes no difference."""
    memory = private(PAGES * PAGE)
    _, vm, _ = machine(memory)
    assert isinstance(vm, SupportsRepeatedRuns)
    vm.reports_writes = reports
    taken: list[tuple[bytes, Any]] = []
    for _ in range(data.draw(st.integers(3, 20))):
        steps = ["write", "write", "zero", "snapshot", "restore", "forget", "prepare", "prepare"]
        what = data.draw(st.sampled_from(steps))
        at = data.draw(st.integers(0, PAGES * PAGE - 1))
        if what in ("write", "zero"):
            page = at // PAGE * PAGE
            if what == "write":
                memory[at] = data.draw(st.integers(0, 255))
            else:
                memory[page : page + PAGE] = bytes(PAGE)
            vm.memory_written(RAM + page, PAGE)
        elif what == "snapshot":
            taken.append((bytes(memory), vm.snapshot()))
        elif not taken:
            continue
        elif what == "restore":
            expected, snapshot = taken[at % len(taken)]
            vm.restore(snapshot)
            assert bytes(memory) == expected
        elif what == "forget":
            del taken[at % len(taken)]
            snapshot = None
            gc.collect()
        else:
            then, beside = taken[at % len(taken)]
            most = vm.prepare_snapshot(beside)
            now = bytes(memory)
            snapshot = vm.snapshot()
            starts = range(0, PAGES * PAGE, PAGE)
            changed = sum(then[n : n + PAGE] != now[n : n + PAGE] != bytes(PAGE) for n in starts)
            state = snapshot.size_beside(snapshot) - sum(
                region.pages.index_size for region in snapshot.regions.values()
            )
            added = snapshot.size_beside(beside) - state
            assert added <= most + 8192, "the states of vCPUs are no memory of the guest"
            pages = sum(
                region.pages.count_beside(beside.regions[number].pages)
                for number, region in snapshot.regions.items()
            )
            assert pages == changed, "all that is as it was is shared"
            taken.append((now, snapshot))
            assert vm.prepare_snapshot(None) >= snapshot.memory_size
            vm.restore(snapshot)
            assert bytes(memory) == now


def test_nothing_is_shared_where_the_slots_were_others() -> None:
    memory = private(PAGES * PAGE)
    _, vm, _ = machine(memory)
    _, other, _ = machine(private(2 * PAGES * PAGE))
    memory[:] = bytes(range(1, 9)) * (PAGES * PAGE // 8)
    vm.memory_written(RAM, len(memory))
    alone = vm.prepare_snapshot(other.snapshot())
    assert alone >= PAGES * PAGE
    assert vm.snapshot().memory_size <= alone + 8192


def test_what_cannot_be_shared_with_is_refused() -> None:
    _, vm, _ = machine(private(PAGES * PAGE))
    snapshot = vm.snapshot()
    foreign: Any = "a snapshot"
    with pytest.raises(KvmError, match="of another provider"):
        vm.prepare_snapshot(foreign)
    assert isinstance(snapshot, Snapshot)
    vm.restore(snapshot)
