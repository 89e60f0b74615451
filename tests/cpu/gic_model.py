"""A model of a GIC's virtual CPU interface, from Arm IHI 0069 (chapters 4, 5, 6, 12) and, for the
GICv2's frame, IHI 0048: state as sets and small records, where the processor has registers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PENDING, ACTIVE = 1, 2
IDLE = 0xFF
SPURIOUS = 1023


@dataclass
class ListRegister:
    """ICH_LRn_EL2, taken apart."""

    state: int = 0
    hw: int = 0
    group: int = 0
    priority: int = 0
    pintid: int = 0  # bits 44 to 32; bit 9 of it is EOI without HW
    vintid: int = 0

    @classmethod
    def of(cls, value: int) -> ListRegister:
        return cls(
            state=value >> 62,
            hw=value >> 61 & 1,
            group=value >> 60 & 1,
            priority=value >> 48 & 0xF8,
            pintid=value >> 32 & 0x1FFF,
            vintid=value & 0xFFFF,
        )

    def value(self) -> int:
        return (
            self.state << 62
            | self.hw << 61
            | self.group << 60
            | self.priority << 48
            | self.pintid << 32
            | self.vintid
        )

    @property
    def wants_eoi(self) -> bool:
        return not self.hw and bool(self.pintid >> 9 & 1)


@dataclass
class Interface:
    """The interface of a GICv3, or of a GICv2 (version 2)."""

    version: int = 3
    count: int = 4
    lrs: list[ListRegister] = field(default_factory=list)
    active: list[set[int]] = field(default_factory=lambda: [set(), set()])  # by group: priorities
    enabled: list[int] = field(default_factory=lambda: [0, 0])
    bpr: list[int] = field(default_factory=lambda: [2, 3])
    pmr: int = 0
    cbpr: int = 0
    eoimode: int = 0
    ackctl: int = 0
    fiqen: int = 0
    hcr: int = 0  # without EOIcount
    eoicount: int = 0

    def __post_init__(self) -> None:
        self.lrs = self.lrs or [ListRegister() for _ in range(self.count)]

    # -- priorities --

    def group_priority(self, priority: int, group: int) -> int:
        """The part of a priority before the binary point: the table of 4.8.3."""
        lowest_bit = self.bpr[0] + 1 if group == 0 or self.cbpr else self.bpr[1]
        return priority >> lowest_bit << lowest_bit

    def running(self) -> int:
        return min(self.active[0] | self.active[1], default=IDLE)

    def candidate(self) -> ListRegister | None:
        """HighestPriorityVirtualInterrupt()"""
        ready = [r for r in self.lrs if r.state == PENDING and self.enabled[r.group]]
        return min(ready, key=lambda r: r.priority, default=None)

    def signalled(self) -> ListRegister | None:
        """CanSignalVirtualInterrupt()"""
        found = self.candidate()
        if found is None or not self.hcr & 1 or found.priority >= self.pmr:
            return None
        running = self.running()
        if running != IDLE and self.group_priority(
            found.priority, found.group
        ) >= self.group_priority(running, found.group):
            return None
        return found

    def lines(self) -> tuple[bool, bool]:
        """(virtual IRQ, virtual FIQ)"""
        found = self.signalled()
        if found is None:
            return False, False
        fiq = found.group == 0 and bool(self.version == 3 or self.fiqen)
        return not fiq, fiq

    # -- what software does --

    def intid(self, register: ListRegister) -> int:
        return register.vintid & 0x1FFF if self.version == 2 else register.vintid

    def special(self, intid: int) -> bool:
        return 1020 <= (intid & 0x3FF if self.version == 2 else intid) <= 1023

    def hppir(self, group: int) -> int:
        found = self.candidate()
        return self.intid(found) if found is not None and found.group == group else SPURIOUS

    def iar(self, group: int) -> int:
        found = self.signalled()
        if found is None or found.group != group:
            return SPURIOUS
        if self.special(self.intid(found)):
            found.state = 0
        else:
            found.state = ACTIVE
            where = 1 if self.version == 2 else group
            self.active[where].add(self.group_priority(found.priority, group))
        return self.intid(found)

    def eoir(self, groups: set[int], intid: int) -> None:
        if self.special(intid):
            return
        dropped = self.running()
        if dropped == IDLE:
            return
        for priorities in self.active:
            if dropped in priorities:
                priorities.remove(dropped)
                break
        if not self.eoimode or intid >= 8192:
            self.deactivate(groups, intid, dropped)

    def deactivate(self, groups: set[int], intid: int, priority: int | None) -> None:
        for r in self.lrs:
            if r.state & ACTIVE and self.intid(r) == intid:
                fits = priority is None or self.group_priority(r.priority, r.group) == priority
                if fits and r.group in groups:
                    r.state &= ~ACTIVE
                return
        if intid < 8192:
            self.eoicount = (self.eoicount + 1) % 32

    def dir(self, intid: int) -> None:
        if self.eoimode and not self.special(intid) and intid < 8192:
            self.deactivate({0, 1}, intid, None)

    # -- registers --

    def get_bpr(self, group: int) -> int:
        return min(self.bpr[0] + 1, 7) if group and self.cbpr else self.bpr[group]

    def set_bpr(self, group: int, value: int) -> None:
        if not (group and self.cbpr):
            self.bpr[group] = max(value & 7, 2 + group)

    def get_apr(self, group: int) -> int:
        return sum(1 << (priority >> 3) for priority in self.active[group])

    def set_apr(self, group: int, value: int) -> None:
        self.active[group] = {n << 3 for n in range(32) if value >> n & 1}

    def get_vmcr(self) -> int:
        return (
            self.enabled[0]
            | self.enabled[1] << 1
            | self.ackctl << 2
            | (1 if self.version == 3 else self.fiqen) << 3
            | self.cbpr << 4
            | self.eoimode << 9
            | self.bpr[1] << 18
            | self.bpr[0] << 21
            | self.pmr << 24
        )

    def set_control(self, value: int) -> None:
        """GICV_CTLR, whose bits are those of ICH_VMCR_EL2."""
        self.enabled = [value & 1, value >> 1 & 1]
        if self.version == 2:
            self.ackctl, self.fiqen = value >> 2 & 1, value >> 3 & 1
        self.cbpr, self.eoimode = value >> 4 & 1, value >> 9 & 1

    def set_vmcr(self, value: int) -> None:
        self.set_control(value)
        self.bpr = [max(value >> 21 & 7, 2), max(value >> 18 & 7, 3)]
        self.pmr = value >> 24 & 0xF8

    def get_ctlr(self) -> int:
        return 0x8400 | self.eoimode << 1 | self.cbpr  # A3V, PRIbits

    def set_ctlr(self, value: int) -> None:
        self.cbpr, self.eoimode = value & 1, value >> 1 & 1

    def get_hcr(self) -> int:
        return self.hcr | self.eoicount << 27

    def set_hcr(self, value: int) -> None:
        self.hcr, self.eoicount = value & 0x7CFF, value >> 27 & 31

    def eisr(self) -> int:
        return sum(1 << n for n, r in enumerate(self.lrs) if not r.state and r.wants_eoi)

    def elrsr(self) -> int:
        return sum(1 << n for n, r in enumerate(self.lrs) if not r.state and not r.wants_eoi)

    def misr(self) -> int:
        conditions = (
            self.eisr() != 0,
            self.hcr >> 1 & 1 and sum(r.state != 0 for r in self.lrs) <= 1,
            self.hcr >> 2 & 1 and self.eoicount,
            self.hcr >> 3 & 1 and not any(r.state == PENDING for r in self.lrs),
            self.hcr >> 4 & 1 and self.enabled[0],
            self.hcr >> 5 & 1 and not self.enabled[0],
            self.hcr >> 6 & 1 and self.enabled[1],
            self.hcr >> 7 & 1 and not self.enabled[1],
        )
        return sum(1 << n for n, holds in enumerate(conditions) if holds)

    # -- the GICv2's frame --

    def gicv_read(self, offset: int) -> int:
        if offset == 0x0C:
            found = self.signalled()
            if found is not None and found.group == 1:
                return self.iar(1) if self.ackctl else 1022
            return self.iar(0)
        if offset == 0x18:
            found = self.candidate()
            if found is not None and found.group == 1:
                return self.intid(found) if self.ackctl else 1022
            return self.hppir(0)
        if offset == 0x20:
            return self.iar(1)
        values = {
            0x00: self.get_vmcr() & 0x21F,
            0x04: self.pmr,
            0x08: self.get_bpr(0),
            0x14: self.running(),
            0x1C: self.get_bpr(1),
            0x28: self.hppir(1),
            0xD0: self.get_apr(1),
            0xFC: 0x04B2043B,
        }
        return values.get(offset, 0)

    def gicv_write(self, offset: int, value: int) -> None:
        if offset == 0x00:
            self.set_control(value)
        elif offset == 0x04:
            self.pmr = value & 0xF8
        elif offset in (0x08, 0x1C):
            self.set_bpr(offset == 0x1C, value)
        elif offset in (0x10, 0x24):
            groups = {1} if offset == 0x24 else {0, 1} if self.ackctl else {0}
            self.eoir(groups, value & 0x1FFF)
        elif offset == 0xD0:
            self.set_apr(1, value)
        elif offset == 0x1000:
            self.dir(value & 0x1FFF)
