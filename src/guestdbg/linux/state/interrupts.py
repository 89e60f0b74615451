"""The kernel's interrupts: who handles them, and how often they were taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError
from guestdbg.linux.errors import CorruptedGuestData, MissingKernelData
from guestdbg.linux.memory import is_kernel_pointer
from guestdbg.linux.state.records import collect
from guestdbg.linux.state.trees import maple_entries, xarray_entries

if TYPE_CHECKING:
    from guestdbg.linux.state.records import Records
    from guestdbg.linux.state.view import KernelView, Object

__all__ = ["Interrupt", "read_interrupts"]

_U64 = (1 << 64) - 1
_MAX_ACTIONS = 64
_MAX_NAME = 128
_LEVEL = 1 << 13  # IRQD_LEVEL
_HIDDEN = 1 << 20  # IRQ_HIDDEN, of the IPIs of the kernel
#: The handler of an interrupt of several devices, whose own interrupts it leads to.
_CHAINED = "chained"


@dataclass(frozen=True, slots=True)
class Interrupt:
    """An interrupt that has a handler.

    Attributes:
        number: the kernel's number of it.
        hardware_number: that of the interrupt controller: 27 is the virtual timer's in a GIC.
        chip: the interrupt controller: ``GICv3``.
        names: of its handlers.
        counts: how often each CPU has taken it, by CPU number.
        is_level: whether it is level-sensitive; otherwise edge-triggered.
        is_hidden: whether /proc/interrupts leaves it out: the kernel's own (IPIs), and those of
            several devices (``chained``).
    """

    number: int
    hardware_number: int
    chip: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    is_level: bool
    is_hidden: bool

    def __str__(self) -> str:
        counts = " ".join(map(str, self.counts))
        return f"{self.number}: {counts} {self.chip} {self.hardware_number} {self.trigger} " + (
            ", ".join(self.names)
        )

    @property
    def trigger(self) -> str:
        """``Level`` or ``Edge``."""
        return "Level" if self.is_level else "Edge"

    def cells(self) -> tuple[str, ...]:
        """The columns of a table."""
        return (
            str(self.number),
            *map(str, self.counts),
            self.chip,
            str(self.hardware_number),
            self.trigger,
            ", ".join(self.names),
        )


def read_interrupts(view: KernelView) -> Records[Interrupt]:
    """Those that have a handler, by number."""
    cpus = view.cpus()
    headings = (">irq", *(f">CPU{n}" for n in cpus), "chip", ">hwirq", "trigger", "name")
    return collect(headings, _interrupts(view))


def _interrupts(view: KernelView) -> Iterator[Interrupt]:
    layout = view.layouts.struct("irq_desc")
    offsets = view.per_cpu_offsets()
    for number, address in _descriptors(view):
        found = view.object(layout, address)
        names = _names(found)
        if names:
            yield _interrupt(found, number, names, offsets)


def _descriptors(view: KernelView) -> Iterator[tuple[int, int]]:
    """The numbers, and the addresses of ``struct irq_desc``."""
    maple, radix = view.find("sparse_irqs"), view.find("irq_desc_tree")
    if radix is None and maple is None:
        # irq_to_desc looks it up in the table: a radix tree, a maple tree since 6.5.
        for address in view.references("irq_to_desc"):
            if _is_radix_tree(view, address):
                radix = address
                break
    if maple is not None:
        for first, _, address in maple_entries(view, maple, "interrupts"):
            yield first, address
    elif radix is not None:
        yield from xarray_entries(view, radix, "interrupts")
    else:
        raise MissingKernelData(
            "where the kernel has its interrupts is not known: its kallsyms has no variables "
            "(CONFIG_KALLSYMS_ALL). Its vmlinux has them"
        )


def _is_radix_tree(view: KernelView, address: int) -> bool:
    try:
        first = next(xarray_entries(view, address, "interrupts"), None)
        if first is None:
            return False
        number = view.object("irq_desc", first[1]).number("irq_data.irq")
    except GuestdbgError:
        return False
    return number == first[0]


def _names(desc: Object) -> tuple[str, ...]:
    found: list[str] = []
    action = desc.follow("action")
    while action is not None:
        if len(found) >= _MAX_ACTIONS:
            raise CorruptedGuestData("an interrupt has handlers without end")
        found.append(action.string("name", _MAX_NAME) or _CHAINED)
        action = action.follow("next")
    return tuple(found)


def _interrupt(desc: Object, number: int, names: tuple[str, ...], offsets: list[int]) -> Interrupt:
    memory = desc.view.memory
    counts = []
    pointer = desc.number("kstat_irqs")
    for offset in offsets:
        at = pointer + offset & _U64
        counts.append(memory.number(at, 4) if pointer and is_kernel_pointer(at) else 0)
    chip = desc.follow("irq_data.chip")
    state = desc.first("irq_common_data.state_use_accessors", "irq_data.state_use_accessors")
    settings = desc.number("status_use_accessors")
    return Interrupt(
        number,
        desc.number("irq_data.hwirq"),
        chip.string("name", _MAX_NAME) if chip is not None else "",
        names,
        tuple(counts),
        bool(state & _LEVEL),
        bool(settings & _HIDDEN) or names == (_CHAINED,),
    )
