"""What the architecture says about debug exceptions, as plain Python over a plain state.

Written from the Arm manual (DDI 0487, chapter D2 "AArch64 Self-hosted Debug") and Arm's published
pseudocode, independently of the processor under test. Where the architecture calls behaviour
CONSTRAINED UNPREDICTABLE, a function returns the set of permitted results, so every result is a
frozenset of booleans. The processing element is an Armv8.0 one like Cortex-A57: EL2 and EL3 exist,
it runs in Non-secure state, EL1&0 use AArch64, AArch32 exists at EL0, no VHE. HCR_EL2.TGE is 0: EL1
is in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

YES = frozenset({True})
NO = frozenset({False})
EITHER = frozenset({False, True})
Choice = frozenset[bool]

MASK64 = (1 << 64) - 1

# MDSCR_EL1
SS = 1 << 0
KDE = 1 << 13
MDE = 1 << 15


def either(*choices: Choice) -> Choice:
    """One of several behaviours."""
    return frozenset().union(*choices)


def both(a: Choice, b: Choice) -> Choice:
    return frozenset(x and y for x in a for y in b)


def any_of(choices: Iterable[Choice]) -> Choice:
    """The disjunction of independent choices."""
    can, must = False, False
    for choice in choices:
        can |= True in choice
        must |= False not in choice
    return YES if must else EITHER if can else NO


def truth(value: bool) -> Choice:
    return YES if value else NO


@dataclass
class State:
    """Everything that debug exceptions depend on."""

    el: int = 1
    d: bool = False  # PSTATE.D
    pstate_ss: bool = False
    mdscr: int = 0
    tde: bool = False  # MDCR_EL2.TDE
    os_lock: bool = False
    double_lock: bool = False  # OSDLR_EL1.DLK
    no_powerdown: bool = False  # DBGPRCR_EL1.CORENPDRQ, which overrides the double lock
    contextidr: int = 0
    vmid: int = 0
    tbi: tuple[bool, bool] = (False, False)
    context_aware: int = 2
    holds_tags: bool | None = None  # bits 63:49 of value registers are stored; None: unknown
    bcr: list[int] = field(default_factory=lambda: [0] * 6)
    bvr: list[int] = field(default_factory=lambda: [0] * 6)
    wcr: list[int] = field(default_factory=lambda: [0] * 4)
    wvr: list[int] = field(default_factory=lambda: [0] * 4)

    # ---- where debug exceptions go, and whether there are any -----------------------------------

    def target(self) -> int:
        """The Exception level that debug exceptions from EL1&0 are taken to."""
        return 2 if self.tde else 1

    def enabled_from(self, el: int, d: bool) -> bool:
        """Whether debug exceptions (other than BRK) are generated at el with PSTATE.D = d."""
        if self.os_lock or (self.double_lock and not self.no_powerdown):
            return False
        target = self.target()
        if target == el:
            return bool(self.mdscr & KDE) and not d
        return target > el

    def enabled(self) -> bool:
        return self.enabled_from(self.el, self.d)

    def monitor(self) -> bool:
        """Whether breakpoints and watchpoints can be taken as exceptions here."""
        return bool(self.mdscr & MDE) and self.enabled()

    # ---- addresses ------------------------------------------------------------------------------

    def top(self, address: int) -> int:
        """The most significant bit of address that is compared."""
        return 55 if self.tbi[address >> 55 & 1] else 63

    def held(self, value: int) -> set[int]:
        """What a value register may hold of what was written: bits 63:49 are RESS, which may be
        hardwired to copies of bit 48."""
        if self.holds_tags:
            return {value}
        low = value & ((1 << 49) - 1)
        return {value, low | (MASK64 >> 49 << 49 if low >> 48 else 0)}

    def same(self, address: int, value: int, bottom: int) -> Choice:
        """Whether address and a value register agree from bit `bottom` upwards."""
        bits = (1 << self.top(address) + 1) - (1 << bottom)
        return frozenset(not (address ^ held) & bits for held in self.held(value))

    # ---- breakpoints ----------------------------------------------------------------------------

    def first_context_aware(self) -> int:
        return len(self.bcr) - self.context_aware

    def value_match(self, n: int, address: int | None, linked_to: bool) -> Choice:
        """Breakpoint n against an address (None: nothing to compare, as when linked to)."""
        control = self.bcr[n]
        if not control & 1:
            return NO
        kind = control >> 20 & 15
        aware = n >= self.first_context_aware()
        reserved = kind in (4, 5, 6, 7, 12, 13, 14, 15) or (kind & 10 and not aware)
        if not reserved:
            return self.value_match_as(n, kind, address, linked_to)
        # Disabled, or as some type that is not reserved for this breakpoint.
        kinds = (0, 1, 2, 3, 8, 9, 10, 11) if aware else (0, 1)
        return either(NO, *(self.value_match_as(n, k, address, linked_to) for k in kinds))

    def value_match_as(self, n: int, kind: int, address: int | None, linked_to: bool) -> Choice:
        is_address = kind in (0, 1)
        if linked_to and (is_address or not kind & 1):
            return NO
        if not linked_to and kind & 1 and not is_address:
            return NO  # a linked context breakpoint matches only through what is linked to it
        value = self.bvr[n]
        if is_address:
            assert address is not None
            selected = self.bcr[n] >> 5 >> (address & 3) & 1
            return both(self.same(address, value, 2), truth(bool(selected)))
        context = self.contextidr == value & 0xFFFFFFFF
        vmid = self.vmid & 0xFF == value >> 32 & 0xFF
        if kind in (2, 3):
            return truth(context)
        if kind in (8, 9):
            return truth(vmid)
        return truth(context and vmid)

    def state_match(self, control: int, linked: bool, *, watch: bool, privileged: bool) -> Choice:
        """The security state, mode and linking of a DBGBCR or DBGWCR."""
        pxc, hmc, ssc = control >> 1 & 3, control >> 13 & 1, control >> 14 & 3
        reserved = {
            (0, 3, 0), (0, 3, 1), (0, 3, 2), (0, 3, 3),
            (1, 0, 0), (1, 0, 2), (1, 1, 0), (1, 1, 2),
            (1, 2, 2), (1, 3, 1), (1, 3, 2), (1, 3, 3),
        }  # fmt: skip
        if (hmc, ssc, pxc) in reserved or (hmc == 0 and pxc == 0):
            # Disabled, or as another combination; linking applies in any case.
            here = EITHER
        else:
            level = self.el if watch is False or privileged else 0
            here = truth(bool(pxc >> (1 - level) & 1) and ssc != 2)
        if not linked or here == NO:
            return here
        lbn = control >> 16 & 15
        first, count = self.first_context_aware(), len(self.bcr)
        if first <= lbn < count:
            return both(here, self.value_match(lbn, None, True))
        # Linked to one that cannot be linked to: disabled, not linked, or linked to another.
        others = [self.value_match(k, None, True) for k in range(first, count)]
        return both(here, either(NO, YES, *others))

    def breakpoint_match(self, n: int, address: int) -> Choice:
        """Whether breakpoint n matches an A64 instruction at a (word-aligned) address."""
        control = self.bcr[n]
        if not control & 1:
            return NO
        linked = control >> 20 & 11 == 1
        value = self.value_match(n, address, False)
        if value != YES and True in self.value_match(n, address + 2, False):
            value = either(value, YES)  # BAS selects the other halfword only
        if value == NO:
            return NO
        kind = control >> 20 & 15
        if kind in (4, 5, 6, 7, 12, 13, 14, 15) or (kind & 10 and n < self.first_context_aware()):
            # With a reserved type even whether it is linked is open.
            state = either(
                self.state_match(control, False, watch=False, privileged=self.el > 0),
                self.state_match(control, True, watch=False, privileged=self.el > 0),
            )
        else:
            state = self.state_match(control, linked, watch=False, privileged=self.el > 0)
        return both(value, state)

    def breakpoint(self, address: int) -> Choice:
        """Whether a Breakpoint exception is taken instead of the instruction at address."""
        if not self.monitor():
            return NO
        return any_of(self.breakpoint_match(n, address) for n in range(len(self.bcr)))

    # ---- watchpoints ----------------------------------------------------------------------------

    def byte_match(self, n: int, address: int) -> Choice:
        """Whether watchpoint n watches the byte at address."""
        control, value = self.wcr[n], self.wvr[n]
        bas, mask = control >> 5 & 0xFF, control >> 24 & 31
        bottom = 2 if value & 4 else 3
        selected = truth(bool(bas >> (address & ((1 << bottom) - 1)) & 1))
        bottoms = {bottom}
        if mask and bas != 0xFF:
            selected = EITHER
        elif bas & (bas + (bas & -bas)):
            # Not contiguous: any byte of the doubleword, or of the word.
            selected = EITHER
            bottoms.add(3)
        masks = {mask}
        disabled = False
        if mask in (1, 2):
            disabled = True  # reserved: disabled, no mask, or any other
            masks = {0, *range(3, 32)}
        matches: list[Choice] = [NO] if disabled else []
        for low in bottoms:
            for wide in masks:
                if wide > low:
                    match = self.same(address, value, wide)
                    if True in match and value & ((1 << wide) - 1) >> low << low:
                        match = either(NO, match)  # masked bits must be zero
                else:
                    match = self.same(address, value, low)
                matches.append(match)
        return both(selected, either(*matches))

    def watchpoint_match(
        self, n: int, address: int, size: int, *, write: bool, privileged: bool
    ) -> Choice:
        """Whether watchpoint n matches an access of size bytes."""
        control = self.wcr[n]
        if not control & 1 or not control >> 3 >> write & 1:
            return NO
        linked = bool(control >> 20 & 1)
        state = self.state_match(control, linked, watch=True, privileged=privileged)
        if state == NO:
            return NO
        value = any_of(self.byte_match(n, address + k & MASK64) for k in range(size))
        return both(value, state)

    def watchpoint(
        self, address: int, size: int, *, write: bool, privileged: bool | None = None
    ) -> Choice:
        """Whether a Watchpoint exception is taken instead of the access."""
        if not self.monitor():
            return NO
        if privileged is None:
            privileged = self.el > 0
        return any_of(
            self.watchpoint_match(n, address, size, write=write, privileged=privileged)
            for n in range(len(self.wcr))
        )

    def fault_addresses(
        self, accesses: Sequence[tuple[int, int]], *, write: bool, privileged: bool
    ) -> tuple[range, set[int] | None]:
        """What FAR may be for an instruction that makes these (address, size) accesses.

        First the architecture's range: from the lowest address accessed up to the highest watched
        one accessed. Then what QEMU reports, which is the lowest byte of the access that a matching
        watchpoint watches (None where the architecture leaves open what is watched).
        """
        low = min(address for address, _ in accesses)
        high = low
        first: set[int] = set()
        settled = True
        for n in range(len(self.wcr)):
            watched: list[int] = []
            for address, size in accesses:
                match = self.watchpoint_match(n, address, size, write=write, privileged=privileged)
                if True not in match:
                    continue
                settled = settled and match == YES
                for k in range(size):
                    byte = self.byte_match(n, address + k)
                    settled = settled and byte != EITHER
                    if True in byte:
                        watched.append(address + k)
            if watched:
                high = max(high, *watched)
                first.add(min(watched))
        return range(low, high + 1), first if settled else None

    # ---- software step --------------------------------------------------------------------------

    def step_enabled(self) -> bool:
        return bool(self.mdscr & SS) and self.enabled()

    def step_pending(self) -> bool:
        """A Software Step exception is taken before anything else here."""
        return self.step_enabled() and not self.pstate_ss

    def return_ss(self, spsr: int) -> bool:
        """PSTATE.SS after an exception return from here with this SPSR (legal, to EL0 or EL1)."""
        if not self.mdscr & SS:
            return False
        to = spsr >> 2 & 3
        there = self.enabled_from(to, bool(spsr >> 9 & 1))
        return not self.enabled() and there and bool(spsr >> 21 & 1)
