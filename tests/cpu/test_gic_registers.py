"""The registers of the virtual CPU interface, ICC_*, ICH_* and the GICV frame, in any order,
against a model of the manual. After each access the whole state is compared.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_MAINTENANCE

from .gic_model import Interface, ListRegister
from .system_support import CODE, DONE, One, mrs, msr

GICV = 0x0801_0000
HCR_FMO, HCR_IMO = 1 << 3, 1 << 4
LDR, STR = 0xB9400041, 0xB9000041  # W1, [X2]

PRIORITIES = st.one_of(st.integers(0, 255), st.sampled_from([0x00, 0x08, 0x40, 0x80, 0xF0, 0xF8]))
#: Few of them, so that an end of interrupt often finds its list register.
INTIDS = st.sampled_from([0, 1, 16, 27, 42, 1019, 1020, 1023, 4096 + 1, 8192, 9000])
V2_INTIDS = st.sampled_from([0, 1, 1 << 10, 1 | 3 << 10, 27, 42, 1019, 1022, 1023, 1023 | 1 << 10])


@st.composite
def list_registers(draw: st.DrawFn, intids: st.SearchStrategy[int] = INTIDS) -> int:
    return (
        draw(st.sampled_from([1, 1, 1, 2, 3, 0])) << 62
        | draw(st.sampled_from([0, 0, 1])) << 61
        | draw(st.booleans()) << 60
        | draw(PRIORITIES) << 48
        | draw(st.sampled_from([0, 1 << 9, 42, 0x1FFF])) << 32
        | draw(intids)
    )


class Rig:
    """A processor with a GIC beside the model. The guest's interrupts stay masked."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.one = One()
        self.p = self.one.p
        self.p.hcr_el2 = 1 << 31 | HCR_FMO | HCR_IMO
        self.restart()

    def restart(self) -> None:
        self.p.set_gic(self.version, 4)
        if self.version == 2:
            self.p.set_gicv(GICV)
        self.model = Interface(self.version)
        self.enable()

    def enable(self) -> None:
        """Everything is enabled and nothing active: what follows gets to something."""
        vmcr = self.model.get_vmcr() & ~0xFF << 24 | 0xF8 << 24 | 0xB
        for name, value in (
            ("ICH_HCR_EL2", 1),
            ("ICH_VMCR_EL2", vmcr),
            ("ICH_AP0R0_EL2", 0),
            ("ICH_AP1R0_EL2", 0),
        ):
            self.one.set(name, value)
        self.model.set_hcr(1)
        self.model.set_vmcr(vmcr)
        self.model.active = [set(), set()]

    def execute(self, word: int) -> None:
        if self.model.hcr & 1 and self.model.misr():
            self.maintain()
        assert self.one.execute(word) == DONE

    def maintain(self) -> None:
        """The guest executes nothing before its EL2 has handled the maintenance interrupt."""
        p, model = self.p, self.model
        p.pc, before = CODE, p.instructions
        assert p.run(before + 1) == EXIT_MAINTENANCE
        assert (p.pc, p.instructions) == (CODE, before)
        for n, r in enumerate(model.lrs):
            if model.eisr() >> n & 1:
                r.pintid = 0
        model.hcr &= ~0xFE
        p.load_list_registers([r.value() for r in model.lrs])
        self.one.set("ICH_HCR_EL2", model.get_hcr())

    def read(self, name: str) -> int:
        self.execute(mrs(1, name))
        return self.p.get_x(1)

    def write(self, name: str, value: int) -> None:
        self.p.set_x(1, value)
        self.execute(msr(name, 1))

    def load(self, offset: int) -> int:
        self.p.set_x(2, GICV + offset)
        self.execute(LDR)
        return self.p.get_x(1)

    def store(self, offset: int, value: int) -> None:
        self.p.set_x(1, value)
        self.p.set_x(2, GICV + offset)
        self.execute(STR)

    def compare(self, what: object) -> None:
        model, one, p = self.model, self.one, self.p
        assert list(p.save_list_registers()) == [r.value() for r in model.lrs], what
        state = {
            "ICH_VMCR_EL2": model.get_vmcr(),
            "ICH_HCR_EL2": model.get_hcr(),
            "ICH_AP0R0_EL2": model.get_apr(0),
            "ICH_AP1R0_EL2": model.get_apr(1),
            "ICH_MISR_EL2": model.misr(),
            "ICH_EISR_EL2": model.eisr(),
            "ICH_ELRSR_EL2": model.elrsr(),
        }
        assert {name: one.get(name) for name in state} == state, what
        assert (p.virtual_irq, p.virtual_fiq) == model.lines(), what


# ---- EL2's part -----------------------------------------------------------------------------

EL2 = {
    "ICH_HCR_EL2": Interface.set_hcr,
    "ICH_VMCR_EL2": Interface.set_vmcr,
    "ICH_AP0R0_EL2": lambda model, value: model.set_apr(0, value),
    "ICH_AP1R0_EL2": lambda model, value: model.set_apr(1, value),
}
WORDS = st.one_of(
    st.integers(0, (1 << 32) - 1),
    st.integers(0, 31),
    st.integers(0, 255).map(lambda n: n << 24 | 3),
)


def el2_steps(intids: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.one_of(
        st.tuples(st.just("set"), st.sampled_from(sorted(EL2)), WORDS),
        st.tuples(st.just("enable"), st.lists(list_registers(intids), min_size=4, max_size=4)),
        st.tuples(st.just("lr"), st.integers(0, 3), list_registers(intids)),
        st.tuples(st.just("lrs"), st.lists(list_registers(intids), max_size=4)),
    )


def el2_step(rig: Rig, step: tuple[object, ...]) -> bool:
    """Do it if it is EL2's."""
    kind, *operands = step
    model = rig.model
    if kind == "set":
        name, value = operands
        rig.one.set(str(name), int(value) & ~0x7C00 if name == "ICH_HCR_EL2" else int(value))
        EL2[str(name)](model, int(value) & ~0x7C00 if name == "ICH_HCR_EL2" else int(value))
    elif kind == "enable":
        rig.enable()
        rig.p.load_list_registers(operands[0])
        model.lrs = [ListRegister.of(value) for value in operands[0]]
    elif kind == "lr":
        n, value = operands
        rig.one.set(f"ICH_LR{n}_EL2", int(value))
        model.lrs[int(n)] = ListRegister.of(int(value))
    elif kind == "lrs":
        values = list(operands[0]) + [0] * (4 - len(operands[0]))
        rig.p.load_list_registers(operands[0])
        model.lrs = [ListRegister.of(value) for value in values]
    else:
        return False
    return True


# ---- a GICv3 --------------------------------------------------------------------------------

READS = {
    "ICC_PMR_EL1": lambda m: m.pmr,
    "ICC_IAR0_EL1": lambda m: m.iar(0),
    "ICC_IAR1_EL1": lambda m: m.iar(1),
    "ICC_HPPIR0_EL1": lambda m: m.hppir(0),
    "ICC_HPPIR1_EL1": lambda m: m.hppir(1),
    "ICC_BPR0_EL1": lambda m: m.get_bpr(0),
    "ICC_BPR1_EL1": lambda m: m.get_bpr(1),
    "ICC_AP0R0_EL1": lambda m: m.get_apr(0),
    "ICC_AP1R0_EL1": lambda m: m.get_apr(1),
    "ICC_RPR_EL1": lambda m: m.running(),
    "ICC_CTLR_EL1": lambda m: m.get_ctlr(),
    "ICC_SRE_EL1": lambda m: 7,
    "ICC_IGRPEN0_EL1": lambda m: m.enabled[0],
    "ICC_IGRPEN1_EL1": lambda m: m.enabled[1],
}


def set_enable(model: Interface, group: int, value: int) -> None:
    model.enabled[group] = value & 1


def set_pmr(model: Interface, value: int) -> None:
    model.pmr = value & 0xF8


WRITES = {
    "ICC_PMR_EL1": set_pmr,
    "ICC_EOIR0_EL1": lambda m, v: m.eoir({0}, v & 0xFFFF),
    "ICC_EOIR1_EL1": lambda m, v: m.eoir({1}, v & 0xFFFF),
    "ICC_BPR0_EL1": lambda m, v: m.set_bpr(0, v),
    "ICC_BPR1_EL1": lambda m, v: m.set_bpr(1, v),
    "ICC_AP0R0_EL1": lambda m, v: m.set_apr(0, v),
    "ICC_AP1R0_EL1": lambda m, v: m.set_apr(1, v),
    "ICC_DIR_EL1": lambda m, v: m.dir(v & 0xFFFF),
    "ICC_CTLR_EL1": lambda m, v: m.set_ctlr(v),
    "ICC_SRE_EL1": lambda m, v: None,
    "ICC_IGRPEN0_EL1": lambda m, v: set_enable(m, 0, v),
    "ICC_IGRPEN1_EL1": lambda m, v: set_enable(m, 1, v),
}
ENDS = ["ICC_EOIR0_EL1", "ICC_EOIR1_EL1", "ICC_DIR_EL1"]
ACKNOWLEDGES = ["ICC_IAR0_EL1", "ICC_IAR1_EL1"]
BPRS = st.integers(0, 7)
V3_STEPS = st.one_of(
    el2_steps(INTIDS),
    st.tuples(st.just("read"), st.sampled_from(ACKNOWLEDGES)),
    st.tuples(st.just("read"), st.sampled_from(sorted(READS))),
    st.tuples(st.just("write"), st.sampled_from(ENDS), st.one_of(INTIDS, st.just("last"))),
    st.tuples(st.just("write"), st.sampled_from(ENDS), st.just("last")),
    st.tuples(st.just("write"), st.just("ICC_CTLR_EL1"), st.integers(0, 3)),
    st.tuples(st.just("write"), st.sampled_from(["ICC_BPR0_EL1", "ICC_BPR1_EL1"]), BPRS),
    st.tuples(
        st.just("write"),
        st.sampled_from(sorted(set(WRITES) - set(ENDS))),
        st.one_of(st.integers(0, 255), st.integers(0, (1 << 64) - 1)),
    ),
)
v3, v2 = Rig(3), Rig(2)


@settings(max_examples=200, deadline=None)
@given(st.lists(V3_STEPS, min_size=20, max_size=60))
def test_system_registers_are_the_models(steps: list[tuple[object, ...]]) -> None:
    rig = v3
    rig.restart()
    last = 0
    for step in steps:
        if not el2_step(rig, step):
            kind, name, *operands = step
            if kind == "read":
                value = rig.read(str(name))
                assert value == READS[str(name)](rig.model), step
                if name in ACKNOWLEDGES:
                    last = value
            else:
                value = last if operands[0] == "last" else int(operands[0])
                rig.write(str(name), value)
                WRITES[str(name)](rig.model, value)
        rig.compare(step)


# ---- a GICv2 --------------------------------------------------------------------------------

OFFSETS = [0, 4, 8, 0xC, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0xD0, 0xD4, 0xFC, 0x1000]
V2_STEPS = st.one_of(
    el2_steps(V2_INTIDS),
    st.tuples(st.just("load"), st.sampled_from([0xC, 0x20])),
    st.tuples(st.just("load"), st.sampled_from([*OFFSETS, 0x40, 0xFF8, 0x1FFC])),
    st.tuples(st.just("store"), st.sampled_from([0x10, 0x24, 0x1000]), st.just("last")),
    st.tuples(
        st.just("store"),
        st.sampled_from([0x10, 0x24, 0x1000]),
        st.one_of(V2_INTIDS, st.just("last")),
    ),
    st.tuples(
        st.just("store"),
        st.sampled_from([*(n for n in OFFSETS if n not in (0x10, 0x24, 0x1000)), 0x2C, 0x1004]),
        st.one_of(st.integers(0, 255), st.integers(0, (1 << 32) - 1)),
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(V2_STEPS, min_size=20, max_size=60))
# A list register with the number that otherwise means that nothing is pending.
@example(
    [("set", "ICH_AP0R0_EL2", 0), ("lr", 0, 0x5000_0000_0000_03FF), ("load", 12), ("load", 24)]
)
def test_the_frame_is_the_models(steps: list[tuple[object, ...]]) -> None:
    rig = v2
    rig.restart()
    last = 0
    for step in steps:
        if not el2_step(rig, step):
            kind, offset, *operands = step
            if kind == "load":
                value = rig.load(int(offset))
                assert value == rig.model.gicv_read(int(offset)), step
                if offset in (0xC, 0x20):
                    last = value
            else:
                value = last if operands[0] == "last" else int(operands[0])
                rig.store(int(offset), value)
                rig.model.gicv_write(int(offset), value)
        rig.compare(step)
