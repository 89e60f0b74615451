"""System instructions and exceptions at scale, against Unicorn and against plain tables."""

from __future__ import annotations

from array import array

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="Unicorn, the oracle, is not installed")

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import EXIT_EL2, encodings, encodings_by_module
from tests.cpu.oracle import SCALE
from tests.cpu.scale_batch import MODES, UNDEFINED, UNDEFINED_ESR, Batch, Fault, Pair, run_batches
from tests.cpu.scale_machines import EL1H, ProcessorUnderTest, Reference
from tests.cpu.scale_memory import IL
from tests.cpu.scale_program import CODE, ELR, ERET, NOP, SOUND, SPSR, move_system
from tests.cpu.simd_cases import NOT_HERE
from tests.cpu.simd_cases import TABLE as SIMD
from tests.cpu.test_data_oracle import ROWS as DATA_ROWS
from tests.cpu.test_scale_branches import BRANCHES
from tests.cpu.test_scale_memory import ACCESSING, ATOMIC, LITERAL

PRIVILEGED = ["EL1", "EL1 with SP_EL0"]
SUPERVISOR_CALL, BREAKPOINT = 2, 7  # Unicorn's exception numbers
EC_SVC, EC_HVC, EC_BRK = 0x15, 0x16, 0x3C


@pytest.fixture(scope="module")
def pair(tier: str) -> Pair:
    return Pair(ProcessorUnderTest(), Reference())


def name_of(register: str) -> tuple[int, int, int, int, int]:
    it = SYSREGS[register]
    return it.op0, it.op1, it.crn, it.crm, it.op2


@pytest.mark.slow
def test_exceptions(pair: Pair) -> None:
    """By the manual's table of what each instruction raises at each EL."""
    plain = {
        "HLT": 0xD440_0000,
        "DCPS1": 0xD4A0_0001,
        "DCPS2": 0xD4A0_0002,
        "DCPS3": 0xD4A0_0003,
    }
    at_el0 = {"HVC": 0xD400_0002, "SMC": 0xD400_0003, "ERET": ERET, "DRPS": 0xD6BF_03E0}

    def make(batch: Batch) -> None:
        rng = batch.rng
        batch.fill(2)
        imm = rng.getrandbits(16)
        kind = rng.randrange(4)
        at = rng.randrange(3)
        if kind == 0:
            name, raw = "SVC", 0xD400_0001
            fault = Fault(EC_SVC << 26 | IL | imm, None, SUPERVISOR_CALL, at, returns_after=True)
        elif kind == 1:
            name, raw = "BRK", 0xD420_0000
            fault = Fault(EC_BRK << 26 | IL | imm, None, BREAKPOINT, at)
        elif kind == 2 and batch.mode == "EL0":
            name, raw = rng.choice(sorted(at_el0.items()))
            fault = Fault(UNDEFINED_ESR, None, UNDEFINED, at)
            imm = imm if name in ("HVC", "SMC") else 0
        else:
            name, raw = rng.choice(sorted(plain.items()))
            fault = Fault(UNDEFINED_ESR, None, UNDEFINED, at)
        words, names = [NOP] * 3, ["NOP"] * 3
        words[at], names[at] = raw | imm << 5, name
        batch.add(names, words, fault=fault)

    tally = run_batches(pair, "exceptions", list(MODES), [3000] * 3 * SCALE, make)
    assert tally.faulted.keys() == {"SVC", "BRK", *at_el0, *plain}


def test_hypervisor_and_monitor_calls() -> None:
    """HVC at EL1 ends the run, after the instruction. SMC is UNDEFINED: no EL3."""
    tested = ProcessorUnderTest()
    cpu = tested.cpu
    for imm in (0, 1, 0x1234, 0xFFFF):
        tested.place(CODE, (0xD400_0002 | imm << 5).to_bytes(4, "little"))
        tested.forget_code()
        cpu.pstate, cpu.pc = EL1H, CODE
        assert cpu.run(cpu.instructions + 5) == EXIT_EL2
        assert (cpu.esr_el2, cpu.pc) == (EC_HVC << 26 | IL | imm, CODE + 4)

    def make(batch: Batch) -> None:
        batch.fill(0)
        raw = 0xD400_0003 | batch.rng.getrandbits(16) << 5
        batch.add(["SMC"], [raw], fault=Fault(UNDEFINED_ESR, None))

    run_batches(Pair(tested, None), "SMC", PRIVILEGED, [50] * 2, make)


@pytest.mark.slow
def test_unallocated_encodings(pair: Pair) -> None:
    """What the decoder refuses is UNDEFINED when it is executed, with every register as it was."""
    cpu = pair.tested.cpu

    def make(batch: Batch) -> None:
        batch.fill(0)
        raw = batch.rng.getrandbits(32)
        if raw & 0x0E00_0000 == 0x0E00_0000:  # SIMD and FP arithmetic: not implemented
            return
        if cpu.decodes(array("I", [raw])) == b"\0":
            batch.add(["?"], [raw], fault=Fault(UNDEFINED_ESR, None, UNDEFINED))

    run_batches(pair, "unallocated", list(MODES), [4096] * 6 * SCALE, make)


# Registers that hold what is written, at EL1: the bits that there are.
HELD = {
    "TPIDR_EL0": (1 << 64) - 1,
    "TPIDRRO_EL0": (1 << 64) - 1,
    "TPIDR_EL1": (1 << 64) - 1,
    "ELR_EL1": (1 << 64) - 1,
    "FAR_EL1": (1 << 64) - 1,
    "MAIR_EL1": (1 << 64) - 1,
    "ESR_EL1": 0xFFFF_FFFF,
    "CONTEXTIDR_EL1": 0xFFFF_FFFF,
    "NZCV": 0xF000_0000,
    "FPCR": 0x07C0_0000,
    "FPSR": 0x0800_009F,
    "DAIF": 0x3C0,
}
AT_EL0 = ("TPIDR_EL0", "NZCV", "FPCR", "FPSR")
KEPT = ("MAIR_EL1", "DAIF")  # the program needs them


@pytest.mark.slow
def test_system_registers_hold_what_is_written(pair: Pair) -> None:
    """MSR and MRS, also of XZR; FPSR and the like are compared after every case anyway."""

    def make(batch: Batch) -> None:
        rng = batch.rng
        batch.fill(4)
        names = list(AT_EL0 if batch.mode == "EL0" else HELD)
        register = rng.choice(names)
        place = name_of(register)
        source, first, second, saved = rng.sample(range(30), 4)
        batch.set_x(source, batch.x(source) & HELD[register])
        words = [
            move_system(True, place, saved) if register in KEPT else NOP,
            move_system(False, place, source),
            move_system(True, place, first),
            move_system(False, place, rng.choice((31, first))),
            move_system(True, place, second),
        ]
        if register in KEPT:
            words.append(move_system(False, place, saved))
        seen.add(register)
        batch.add(["MRS" if word >> 21 & 1 else "MSR" for word in words], words)

    seen: set[str] = set()
    run_batches(pair, "registers", list(MODES), [3000] * 6 * SCALE, make)
    assert seen == HELD.keys()


BARRIERS = {"DSB": 0xD503_309F, "DMB": 0xD503_30BF, "ISB": 0xD503_30DF, "CLREX": 0xD503_305F}


@pytest.mark.slow
def test_pstate(pair: Pair) -> None:
    """DAIFSet, DAIFClr, SPSel and what MRS reads of them; CurrentEL; hints, barriers, CLREX."""
    daif, spsel, current = name_of("DAIF"), name_of("SPSEL"), name_of("CURRENTEL")

    def make(batch: Batch) -> None:
        rng = batch.rng
        batch.fill(2)
        a, b, c, d = rng.sample(range(30), 4)
        imm, imm2, sp = rng.getrandbits(4), rng.getrandbits(4), rng.getrandbits(1)
        code = [("MSR DAIFSet", 0xD503_40DF | imm << 8), ("MSR DAIFClr", 0xD503_40FF | imm2 << 8)]
        rng.shuffle(code)
        code += [
            ("MRS", move_system(True, daif, a)),
            ("MSR SPSel", 0xD500_40BF | sp << 8),
            ("MRS", move_system(True, spsel, b)),
            ("ADD", 0x9100_03E0 | c),  # MOV Xc, SP
            ("MSR SPSel", 0xD500_40BF | (batch.mode == "EL1") << 8),
            ("MRS", move_system(True, current, d)),
            ("MSR DAIFSet", 0xD503_4FDF),
            ("HINT", 0xD503_201F | rng.choice([0, *range(4, 128)]) << 5),  # not YIELD, WFE, WFI
        ]
        name, raw = rng.choice(sorted(BARRIERS.items()))
        code.append((name, raw | imm << 8))
        batch.add([name for name, _ in code], [raw for _, raw in code])

    tally = run_batches(pair, "PSTATE", PRIVILEGED, [3000] * 4 * SCALE, make)
    assert min(tally.executed.values()) > 1000
    assert tally.executed.keys() >= BARRIERS.keys()


@pytest.mark.slow
def test_exception_returns(pair: Pair) -> None:
    """ERET with any flags and masks. (To EL0: see the start of a batch. Unicorn's does not change
    the stack pointer, so this is not done here.)"""

    def make(batch: Batch) -> None:
        rng = batch.rng
        batch.fill(2)
        a, b, c = rng.sample(range(30), 3)
        batch.set_x(a, rng.getrandbits(4) << 28 | rng.getrandbits(4) << 6 | MODES[batch.mode] & 0xF)
        words = [
            move_system(False, SPSR, a),
            0x1000_0000 | 4 << 5 | b,  # ADR Xb, four instructions on
            move_system(False, ELR, b),
            ERET,
            0xD420_0000,  # BRK: not executed
            move_system(True, name_of("DAIF"), c),
            move_system(True, name_of("SPSEL"), b),
        ]
        batch.add(["MSR", "ADR", "MSR", "ERET", "BRK", "MRS", "MRS"], words)

    run_batches(pair, "exception returns", PRIVILEGED, [3000] * 2 * SCALE, make)


@pytest.mark.slow
def test_zeroing_a_block(pair: Pair) -> None:
    """DC ZVA at any address of the block; other cache maintenance changes nothing."""

    def make(batch: Batch) -> None:
        batch.fill(0)
        rn = batch.rng.randrange(31)
        batch.set_x(rn, SOUND.start + batch.rng.randrange(len(SOUND)))
        name, raw = batch.rng.choice(
            [
                ("DC ZVA", 0xD50B_7420),
                ("DC CVAC", 0xD50B_7A20),
                ("DC CVAU", 0xD50B_7B20),
                ("DC CIVAC", 0xD50B_7E20),
                ("IC IVAU", 0xD50B_7520),
            ]
        )
        batch.add([name], [raw | rn])

    tally = run_batches(pair, "caches", list(MODES), [1000] * 3 * SCALE, make)
    assert len(tally.executed) == 5


SYSTEM_ROWS = {
    "MRS", "MSR", "MSR SPSel", "MSR DAIFSet", "MSR DAIFClr", "HINT", "CLREX", "DSB", "DMB", "ISB",
    "SYS", "SVC", "HVC", "SMC", "BRK", "HLT", "DCPS1", "DCPS2", "DCPS3", "ERET", "DRPS",
}  # fmt: skip


def test_no_row_of_the_decode_table_is_left_out() -> None:
    """Each is in a test at scale: the modules for data, memory and branches list theirs. All of
    SYSL is UNDEFINED, the IMPLEMENTATION DEFINED too: see test_system_maintenance.py. Unicorn does
    not judge what test_extensions_qemu.py does, nor what test_simd_fp_rules.py does.
    """
    covered = SYSTEM_ROWS | BRANCHES.names | ACCESSING.names | LITERAL.names | ATOMIC.names
    covered |= {row.name for row in DATA_ROWS} | SIMD.names | NOT_HERE
    modules = encodings_by_module()
    covered.add("SB")
    for module in ("branch_pauth", "data_flags", "data_pauth", "mem_pauth", "system_pstate"):
        covered |= {name for name, *_ in modules[module]}
    assert {name for name, _, _ in encodings()} == covered | {"SYSL"}
