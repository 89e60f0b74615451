"""The kernel's trees: xarray (and radix tree), maple tree, red-black tree.

Each walk is bounded, and ends with CorruptedGuestData for a tree that cannot be one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guestdbg.linux.errors import CorruptedGuestData
from guestdbg.linux.memory import is_kernel_pointer

if TYPE_CHECKING:
    from guestdbg.linux.state.view import KernelView

__all__ = ["maple_entries", "rb_entries", "xarray_entries"]

_U64 = (1 << 64) - 1
_MAX_NODES = 1 << 16
_MAX_DEPTH = 16
_INTERNAL = 2  # include/linux/xarray.h: bits 1:0 of a pointer to a node
_MAX_ERRNO_ENTRY = 4096
_POINTER = 8
#: include/linux/maple_tree.h: the type of a node is in bits 6:3 of a pointer to it.
_NODE_MASK, _TYPE_SHIFT, _TYPE_MASK = 0xFF, 3, 0xF
_DENSE, _LEAF_64, _RANGE_64, _ARANGE_64 = range(4)


def _is_node(entry: int) -> bool:
    return entry & 3 == _INTERNAL and entry > _MAX_ERRNO_ENTRY


class _Budget:
    def __init__(self, what: str) -> None:
        self._left = _MAX_NODES
        self._what = what
        self._seen: set[int] = set()

    def spend(self, node: int, depth: int) -> None:
        """A node is visited; it may be visited once, at a depth that there can be."""
        self._left -= 1
        if not is_kernel_pointer(node):
            raise CorruptedGuestData(f"the tree of {self._what} leads to {node:#x}")
        if node in self._seen or depth > _MAX_DEPTH or self._left < 0:
            raise CorruptedGuestData(f"the tree of {self._what} is damaged at {node:#x}")
        self._seen.add(node)


def xarray_entries(view: KernelView, xarray: int, what: str) -> Iterator[tuple[int, int]]:
    """The indices and values of a ``struct xarray``, which a radix tree is too (since 4.20)."""
    root = view.object("xarray", xarray).number("xa_head")
    if not _is_node(root):
        if root:
            yield 0, root
        return
    layout = view.layouts.struct("xa_node")
    slots = layout.field("slots")
    budget = _Budget(what)

    def walk(entry: int, index: int, depth: int) -> Iterator[tuple[int, int]]:
        at = entry - _INTERNAL
        budget.spend(at, depth)
        node = view.object(layout, at).fetch()
        shift = node.number("shift")
        raw = node.bytes("slots")
        for n in range(slots.size // _POINTER):
            value = int.from_bytes(raw[_POINTER * n : _POINTER * (n + 1)], "little")
            here = index | n << shift & _U64
            if _is_node(value):
                if shift:
                    yield from walk(value, here, depth + 1)
            elif value and value & 3 != _INTERNAL:  # no sibling of a larger entry
                yield here, value

    yield from walk(root, 0, 0)


def maple_entries(view: KernelView, tree: int, what: str) -> Iterator[tuple[int, int, int]]:
    """The entries of a ``struct maple_tree``: the first and last index of each, and its value."""
    root = view.object("maple_tree", tree).number("ma_root")
    if not _is_node(root):
        if root:
            yield 0, 0, root
        return
    budget = _Budget(what)

    def walk(entry: int, low: int, high: int, depth: int) -> Iterator[tuple[int, int, int]]:
        at = entry & ~_NODE_MASK
        kind = entry >> _TYPE_SHIFT & _TYPE_MASK
        if kind > _ARANGE_64:
            raise CorruptedGuestData(f"the tree of {what} has a node of an unknown kind at {at:#x}")
        budget.spend(at, depth)
        if kind == _DENSE:
            raise CorruptedGuestData(f"the tree of {what} has a node of an unused kind at {at:#x}")
        name = "maple_arange_64" if kind == _ARANGE_64 else "maple_range_64"
        node = view.object(name, at).fetch()
        pivots = _words(node.bytes("pivot"))
        first = low
        for n, value in enumerate(_words(node.bytes("slot"))):
            last = pivots[n] if n < len(pivots) else high
            if last == 0 and n > 0:  # pivots that are not used are 0: the slot is the last one
                last = high
            last = min(last, high)
            if last < first:
                return
            if value and kind in (_RANGE_64, _ARANGE_64):
                yield from walk(value, first, last, depth + 1)
            elif value:
                yield first, last, value
            if last >= high:
                return
            first = last + 1

    yield from walk(root, 0, _U64, 0)


def rb_entries(view: KernelView, root: int, what: str) -> Iterator[int]:
    """The addresses of the nodes of a ``struct rb_root``, in order."""
    layout = view.layouts.struct("rb_node")
    budget = _Budget(what)
    at = view.memory.u64(root)
    above: list[int] = []
    # A degenerate tree of the guest's may be as deep as it has nodes: no recursion.
    while at or above:
        while at:
            budget.spend(at, 0)
            above.append(at)
            at = view.object(layout, at).number("rb_left")
        node = above.pop()
        yield node
        at = view.object(layout, node).number("rb_right")


def _words(raw: bytes) -> list[int]:
    return [
        int.from_bytes(raw[at : at + _POINTER], "little") for at in range(0, len(raw), _POINTER)
    ]
