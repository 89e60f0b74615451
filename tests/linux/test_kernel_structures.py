"""The kernel's trees and its old log, built in memory with the layouts of Debian's BTF."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.debugger import AddressError, Symbol
from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.errors import GuestdbgError
from guestdbg.linux import MissingKernelData, VmcoreInfo
from guestdbg.linux.btf import find_btf
from guestdbg.linux.memory import KernelMemory
from guestdbg.linux.state.layouts import Layouts
from guestdbg.linux.state.log import read_log
from guestdbg.linux.state.trees import maple_entries, rb_entries, xarray_entries
from guestdbg.linux.state.view import KernelView, list_entries

from .conftest import kernel_of

BASE = 0xFFFF_0000_0100_0000
SIZE = 1 << 20
U64 = (1 << 64) - 1
ALIGNMENT = 256


class Memory:
    """Memory of the kernel with an allocator."""

    def __init__(self) -> None:
        self.data = bytearray(SIZE)
        self._next = ALIGNMENT

    def allocate(self, size: int) -> int:
        address = BASE + self._next
        self._next += -(-size // ALIGNMENT) * ALIGNMENT
        assert self._next <= SIZE
        return address

    def write(self, address: int, value: int, size: int = 8) -> None:
        at = address - BASE
        self.data[at : at + size] = value.to_bytes(size, "little")

    def read(self, address: int, length: int) -> bytes:
        at = address - BASE
        if not 0 <= at <= at + length <= SIZE:
            raise AddressError(f"no memory at {address:#x}", address)
        return bytes(self.data[at : at + length])

    u64 = KernelMemory.u64
    number = KernelMemory.number
    string = KernelMemory.string


@functools.cache
def layouts() -> Layouts:
    return Layouts(find_btf(kernel_of("bookworm").read_bytes()))


def view(memory: Memory, symbols: dict[str, int] | None = None, info: str = "") -> KernelView:
    def named(name: str) -> list[Symbol]:
        address = (symbols or {}).get(name)
        return [] if address is None else [Symbol(name, address, 0, SymbolKind.OBJECT, True)]

    def vmcoreinfo() -> VmcoreInfo:
        if not info:
            raise MissingKernelData("none")
        return VmcoreInfo.parse(info)

    return KernelView(
        cast(Any, None), cast(KernelMemory, memory), layouts, named, vmcoreinfo, lambda name: []
    )


def put(memory: Memory, struct: str, path: str, address: int, value: int) -> None:
    field = layouts().struct(struct).field(path)
    memory.write(address + field.offset, value & (1 << 8 * field.size) - 1, field.size)


def element(memory: Memory, struct: str, path: str, address: int, n: int, value: int) -> None:
    memory.write(address + layouts().struct(struct).field(path).offset + 8 * n, value)


# ---- trees ---------------------------------------------------------------------------------------


def xarray(memory: Memory, entries: dict[int, int]) -> int:
    def node(shift: int, inside: dict[int, int]) -> int:
        address = memory.allocate(layouts().struct("xa_node").size)
        put(memory, "xa_node", "shift", address, shift)
        for slot in range(64):
            part = {i: v for i, v in inside.items() if i >> shift & 63 == slot}
            if part:
                value = node(shift - 6, part) if shift else next(iter(part.values()))
                element(memory, "xa_node", "slots", address, slot, value)
        return address | 2

    root = memory.allocate(layouts().struct("xarray").size)
    if entries and max(entries) > 0:
        shift = (max(entries).bit_length() - 1) // 6 * 6
        put(memory, "xarray", "xa_head", root, node(shift, entries))
    elif entries:
        put(memory, "xarray", "xa_head", root, entries[0])
    return root


def maple_tree(memory: Memory, entries: list[tuple[int, int, int]]) -> int:
    """Leaves of 5 ranges each, gaps among them; nodes of 5 children above, of either kind."""
    slots: list[tuple[int, int]] = []  # the last index of a range, and its value
    at = 0
    for first, last, value in entries:
        if first > at:
            slots.append((first - 1, 0))
        slots.append((last, value))
        at = last + 1
    slots.append((U64, 0))
    kind = 1
    while len(slots) > 1 or kind == 1:
        above: list[tuple[int, int]] = []
        name = "maple_arange_64" if kind == 3 else "maple_range_64"
        for start in range(0, len(slots), 5):
            part = slots[start : start + 5]
            address = memory.allocate(256)
            for n, (last, value) in enumerate(part):
                element(memory, name, "slot", address, n, value)
                if last != U64:
                    element(memory, name, "pivot", address, n, last)
            above.append((part[-1][0], address | kind << 3 | 4))
        slots, kind = above, 3 if kind != 3 else 2
    root = memory.allocate(layouts().struct("maple_tree").size)
    put(memory, "maple_tree", "ma_root", root, slots[0][1] | 2)
    return root


values = st.integers(1, 1 << 40).map(lambda n: BASE + 8 * n)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.integers(0, 1 << 20), values, max_size=20))
def test_an_xarray(entries: dict[int, int]) -> None:
    memory = Memory()
    found = list(xarray_entries(view(memory), xarray(memory, entries), "things"))
    assert found == sorted(entries.items())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_maple_tree(data: st.DataObject) -> None:
    bounds = sorted(data.draw(st.sets(st.integers(1, U64 - 1), max_size=40)))
    pairs = zip(bounds[0::2], bounds[1::2], strict=False)
    entries = [(a, b, BASE + 64 * n) for n, (a, b) in enumerate(pairs, 1)]
    memory = Memory()
    assert list(maple_entries(view(memory), maple_tree(memory, entries), "things")) == entries


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1000), unique=True, max_size=40))
def test_a_red_black_tree(order: list[int]) -> None:
    memory = Memory()
    size = layouts().struct("rb_node").size
    nodes = {key: memory.allocate(size) for key in order}
    root = memory.allocate(8)
    for key in order:
        at, link = memory.u64(root), root
        while at:
            above = next(k for k, address in nodes.items() if address == at)
            side = "rb_left" if key < above else "rb_right"
            link = at + layouts().struct("rb_node").field(side).offset
            at = memory.u64(link)
        memory.write(link, nodes[key])
    found = list(rb_entries(view(memory), root, "things"))
    assert found == [nodes[key] for key in sorted(order)]


def as_list(memory: Memory) -> int:
    entries = [memory.allocate(16) for _ in range(12)]
    for at, after in zip(entries, entries[1:] + entries[:1], strict=True):
        memory.write(at, after)
    return entries[0]


def walk_xarray(memory: Memory) -> Callable[[KernelView], object]:
    root = xarray(memory, {n * 97: BASE for n in range(60)})
    return lambda kernel: list(xarray_entries(kernel, root, "x"))


def walk_maple_tree(memory: Memory) -> Callable[[KernelView], object]:
    root = maple_tree(memory, [(n * 9 + 1, n * 9 + 4, BASE) for n in range(60)])
    return lambda kernel: list(maple_entries(kernel, root, "x"))


def walk_list(memory: Memory) -> Callable[[KernelView], object]:
    head = as_list(memory)
    return lambda kernel: list(list_entries(kernel, head, 1000, "x"))


@pytest.mark.parametrize("make", [walk_xarray, walk_maple_tree, walk_list])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_ends_a_walk(
    make: Callable[[Memory], Callable[[KernelView], object]], data: st.DataObject
) -> None:
    """Words become other pointers into the same memory, which makes loops, or anything."""
    memory = Memory()
    walk = make(memory)
    used = memory.allocate(1) - BASE
    for _ in range(data.draw(st.integers(1, 6))):
        at = BASE + 8 * data.draw(st.integers(0, used // 8))
        inside = st.integers(0, used).map(lambda n: BASE + n)
        memory.write(at, data.draw(inside | st.integers(0, U64)))
    with contextlib.suppress(GuestdbgError):
        walk(view(memory))


# ---- the log until 5.9 ---------------------------------------------------------------------------

OLD = """OSRELEASE=4.19.0
SIZE(printk_log)=16
OFFSET(printk_log.ts_nsec)=0
OFFSET(printk_log.len)=8
OFFSET(printk_log.text_len)=10
OFFSET(printk_log.dict_len)=12
"""


def old_log(memory: Memory, texts: list[str], first: int) -> tuple[KernelView, int]:
    """A buffer of 512 bytes with records from ``first`` on, which goes on at its start."""
    length, at = 512, first
    buffer = memory.allocate(length)
    written = 0
    for n, text in enumerate(texts):
        raw = text.encode()
        size = -(-(16 + len(raw)) // 8) * 8
        if at + size + 16 > length:
            memory.write(buffer + at, 0)
            memory.write(buffer + at + 8, 0)
            if size + 16 >= first:
                break
            at = 0
        elif at < first <= at + size + 16:
            break
        memory.write(buffer + at, 1_000_000_000 * n + 1500)
        memory.write(buffer + at + 8, size, 2)
        memory.write(buffer + at + 10, len(raw), 2)
        memory.write(buffer + at + 14, 3, 1)
        memory.write(buffer + at + 15, 6 << 5, 1)
        start = buffer + at + 16 - BASE
        memory.data[start : start + len(raw)] = raw
        at, written = at + size, written + 1
    symbols = {name: memory.allocate(8) for name in ("log_buf", "log_buf_len")}
    symbols |= {name: memory.allocate(8) for name in ("log_first_idx", "log_next_idx")}
    memory.write(symbols["log_buf"], buffer)
    memory.write(symbols["log_buf_len"], length, 4)
    memory.write(symbols["log_first_idx"], first, 4)
    memory.write(symbols["log_next_idx"], at, 4)
    return view(memory, symbols, OLD), written


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=12), st.integers(0, 55).map(lambda n: 8 * n))
def test_the_log_of_old_kernels(texts: list[str], first: int) -> None:
    memory = Memory()
    kernel, written = old_log(memory, texts, first)
    found = read_log(kernel)
    assert found.cut is None
    assert [record.text for record in found] == texts[:written]
    for n, record in enumerate(found):
        assert (record.level, record.facility, record.nanoseconds) == (6, 3, n * 10**9 + 1500)
        assert str(record).startswith(f"[{n:5}.000001] ")


def test_a_damaged_old_log_is_cut() -> None:
    memory = Memory()
    kernel, _ = old_log(memory, ["one", "two", "three"], 0)
    memory.write(BASE + ALIGNMENT + 24 + 8, 3, 2)
    found = read_log(kernel)
    assert [record.text for record in found] == ["one"]
    assert "a record of the log has 3 bytes" in str(found.cut)


def test_a_kernel_without_any_log_says_what_is_missing() -> None:
    with pytest.raises(MissingKernelData, match="prb or log_first_idx"):
        read_log(view(Memory()))
