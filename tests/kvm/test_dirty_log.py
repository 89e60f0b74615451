"""KVM_MEM_LOG_DIRTY_PAGES and KVM_GET_DIRTY_LOG, readers, and snapshots of the pages written."""

import errno
import mmap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.check import assembler as asm
from guestdbg.kvm import DirtyPageReader, KvmError, SupportsDirtyPages
from guestdbg.kvm.constants import KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY

from .support import RAM, RAM_SIZE, Guest

PAGE = 4096
LOG = KVM_MEM_LOG_DIRTY_PAGES


def logged(*words: int) -> Guest:
    guest = Guest(*words)
    guest.vm.set_user_memory_region(0, RAM, guest.memory, LOG)
    return guest


def log_of(guest: Guest, slot: int = 0) -> set[int]:
    bitmap = guest.vm.get_dirty_log(slot)
    assert len(bitmap) % 8 == 0
    return {n for n in range(8 * len(bitmap)) if bitmap[n >> 3] >> (n & 7) & 1}


def store(guest: Guest, address: int) -> None:
    guest.pc = RAM
    guest.set_x(1, address)
    guest.run(1)


def test_the_log_has_the_pages_that_the_guest_wrote() -> None:
    guest = logged(asm.str_(0, 1), asm.b(0))
    assert log_of(guest) == set()
    store(guest, RAM + 0x10000)
    store(guest, RAM + 0x10008)
    store(guest, RAM + 0x21FF8)
    guest.memory[0x30000:0x30008] = b"userland"
    guest.vm.memory_written(RAM + 0x30000, 8)  # not in the kernel's log either
    assert log_of(guest) == {0x10, 0x21}
    assert log_of(guest) == set()
    store(guest, RAM + 0x10000)
    assert log_of(guest) == {0x10}
    assert len(guest.vm.get_dirty_log(0)) == RAM_SIZE // PAGE // 8


def test_a_log_is_whole_words_and_stays_when_the_slot_moves() -> None:
    guest = Guest(asm.str_(0, 1), asm.b(0))
    memory = mmap.mmap(-1, 3 * PAGE)
    guest.vm.set_user_memory_region(1, 0x10000, memory, LOG)
    assert guest.vm.get_dirty_log(1) == bytes(8)
    store(guest, 0x11000)
    guest.vm.set_user_memory_region(1, 0x20000, memory, LOG)
    store(guest, 0x22000)
    assert guest.vm.get_dirty_log(1) == bytes([6, 0, 0, 0, 0, 0, 0, 0])


def test_the_log_is_turned_on_and_off() -> None:
    guest = logged(asm.str_(0, 1), asm.b(0))
    store(guest, RAM + 0x10000)
    guest.vm.set_user_memory_region(0, RAM, guest.memory)
    with pytest.raises(KvmError) as error:
        guest.vm.get_dirty_log(0)
    assert (error.value.errno, error.value.call) == (errno.ENOENT, "KVM_GET_DIRTY_LOG")
    assert "KVM_MEM_LOG_DIRTY_PAGES" in error.value.text
    guest.vm.set_user_memory_region(0, RAM, guest.memory, LOG)
    assert log_of(guest) == set()
    guest.vm.set_user_memory_region(1, 0, bytearray(PAGE), LOG | KVM_MEM_READONLY)
    assert log_of(guest, 1) == set()
    guest.vm.set_user_memory_region(1, 0, None)
    for slot, number in ((1, errno.ENOENT), (64, errno.EINVAL), (-1, errno.EINVAL)):
        with pytest.raises(KvmError) as error:
            guest.vm.get_dirty_log(slot)
        assert error.value.errno == number


def test_readers_do_not_disturb_each_other_or_the_log() -> None:
    guest = logged(asm.str_(0, 1), asm.b(0))
    assert isinstance(guest.vm, SupportsDirtyPages)
    first: DirtyPageReader = guest.vm.dirty_pages(0)
    store(guest, RAM + 0x10000)
    second = guest.vm.dirty_pages(0)
    guest.vm.memory_written(RAM + 0x30FFF, 2)
    assert first.pages() == [(0x10, 1), (0x30, 2)]
    assert first.pages() == []
    assert second.pages() == [(0x30, 2)]
    second.close()
    with pytest.raises(KvmError, match="the reader is closed"):
        second.pages()
    store(guest, RAM + 0x11000)
    assert log_of(guest) == {0x10, 0x11}
    assert first.pages() == [(0x11, 1)]
    with pytest.raises(KvmError) as error:
        guest.vm.dirty_pages(9)
    assert error.value.errno == errno.ENOENT
    guest.vm.set_user_memory_region(0, RAM, None)
    with pytest.raises(KvmError, match="slot 0 was replaced") as error:
        first.pages()
    assert error.value.errno == errno.ENOENT


pages = st.integers(0x10, 0x18)
steps = st.one_of(
    st.tuples(st.just("guest"), pages),
    st.tuples(st.just("user"), pages),
    st.tuples(st.just("zero"), pages),
    st.tuples(st.just("snapshot"), st.just(0)),
    st.tuples(st.just("restore"), st.integers(0, 5)),
    st.tuples(st.just("forget"), st.integers(0, 5)),
    st.tuples(st.just("read"), st.just(0)),
    st.tuples(st.just("promise"), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=40))
def test_snapshots_of_the_pages_written(what: list[tuple[str, int]]) -> None:
    """A restore gives back the very bytes, whatever was taken, restored and forgotten before."""
    guest = Guest(asm.str_(0, 1), asm.b(0))
    guest.vm.reports_writes = True
    reader = guest.vm.dirty_pages(0)
    kept = []
    value = 1
    for kind, n in what:
        start = n * PAGE + 8 * (value & 3)
        value += 1
        if kind == "guest":
            guest.set_x(0, value)
            store(guest, RAM + start)
        elif kind in ("user", "zero"):
            data = bytes(PAGE) if kind == "zero" else value.to_bytes(8, "little")
            start = n * PAGE if kind == "zero" else start
            guest.memory[start : start + len(data)] = data
            guest.vm.memory_written(RAM + start, len(data))
        elif kind == "snapshot":
            kept.append((guest.vm.snapshot(), bytes(guest.memory)))
        elif kind == "restore" and n < len(kept):
            before = bytes(guest.memory)
            reader.pages()
            snapshot, contents = kept[n]
            guest.vm.restore(snapshot)
            assert bytes(guest.memory) == contents
            changed = {k for first, count in reader.pages() for k in range(first, first + count)}
            assert changed == {
                k
                for k in range(RAM_SIZE // PAGE)
                if before[k * PAGE : (k + 1) * PAGE] != contents[k * PAGE : (k + 1) * PAGE]
            }
        elif kind == "forget" and n < len(kept):
            del kept[n]
        elif kind == "read":
            reader.pages()
        elif kind == "promise":
            guest.vm.reports_writes = not guest.vm.reports_writes
    for snapshot, contents in kept:
        guest.vm.restore(snapshot)
        assert bytes(guest.memory) == contents
        assert snapshot.memory_size == PAGE * sum(
            any(contents[k : k + PAGE]) for k in range(0, RAM_SIZE, PAGE)
        )
