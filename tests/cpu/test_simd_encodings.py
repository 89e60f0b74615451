"""Which SIMD and FP encodings there are with the extensions, and that each can be trapped."""

from __future__ import annotations

import random
from array import array

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)
pytest.importorskip("unicorn", reason="the harness uses it")

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.identification import identification
from guestdbg.cpu.processor import PhysicalMemory, Processor
from tests.cpu import scan
from tests.cpu.oracle import SEED, random_encoding
from tests.cpu.processor_features import SIMD
from tests.cpu.simd_cases import ROWS
from tests.cpu.support import CODE, RAM, Bench, branch

#: LLVM's names of extensions, and the identification registers that say the same.
EXTENSIONS = {
    "+v8a,+crc": {},
    "+v8a,+fullfp16": identification("fp16"),
    "+v8a,+complxnum": identification("fcma"),
    "+v8.2a,+dotprod": identification("dotprod,rdm,lse"),
    "+v8.4a,+fullfp16,+fp16fml,+aes,+sha2,+sha3": SIMD,
}
VBAR = RAM + 0x8000
FROM_EL1 = 0x200  # vector: the current EL with SP_ELx
EC_FP = 0x07


@pytest.mark.skipif(scan.llvm_library() is None, reason="llvm-mc is not installed")
@pytest.mark.slow
@pytest.mark.parametrize("extensions", EXTENSIONS)
def test_encodings_with(extensions: str) -> None:
    """Every value of bits 31 to 10 where bits 28 to 25 are x111."""
    llvm = scan.Llvm(extensions)
    cpu = Processor(PhysicalMemory())
    for encoding, value in EXTENSIONS[extensions].items():
        cpu.set_sysreg(encoding, value)
    wrong: dict[tuple[int, bool], str] = {}
    scanned = accepted = 0
    for top in range(scan.TOPS):
        if top >> 4 & 7 != 7:
            continue
        rng = random.Random(f"{SEED} {extensions} {top}")
        some = array("I", [top << 21 | n << 10 | rng.getrandbits(10) for n in range(scan.MIDDLES)])
        mine = cpu.decodes(some).translate(scan.ACCEPTED)
        theirs = llvm.accepts(some)
        scanned += len(some)
        accepted += sum(mine)
        if mine != theirs:
            for raw, ours, other in zip(some, mine, theirs, strict=True):
                if ours != other:
                    wrong.setdefault((top, bool(ours)), f"{raw:#010x} {llvm.text(raw)}")
    print(f"seed {SEED}, {extensions}: {accepted} of {scanned} are allocated")
    assert not wrong
    assert accepted > 50_000


def test_every_instruction_is_trapped() -> None:
    """CPACR_EL1.FPEN is 0: an exception with the class of SIMD and FP, and nothing is written."""
    rng = random.Random(f"{SEED} trapped")
    bench = Bench()
    for encoding, value in SIMD.items():
        bench.p.set_sysreg(encoding, value)
    words = []
    for row in ROWS:
        tries = array("I", [random_encoding(rng, row) for _ in range(64)])
        found = [raw for raw, way in zip(tries, bench.p.decodes(tries), strict=True) if way]
        assert found, row.name
        words.append((row.name, found[0]))
    bench.put(CODE, [raw for _, raw in words])
    bench.put(VBAR + FROM_EL1, [branch(0)])
    bench.p.set_sysreg(SYSREGS["VBAR_EL1"].encoding, VBAR)
    bench.p.set_sysreg(SYSREGS["CPACR_EL1"].encoding, 0)
    for n in range(32):
        bench.p.set_v(n, n)
    before = [bench.p.get_x(n) for n in range(31)], bench.p.pstate
    for n, (name, raw) in enumerate(words):
        bench.p.pc = CODE + 4 * n
        bench.run(1)
        esr = bench.p.get_sysreg(SYSREGS["ESR_EL1"].encoding)
        assert (bench.p.pc, esr >> 26) == (VBAR + FROM_EL1, EC_FP), f"{name} {raw:#010x}"
        assert bench.p.get_sysreg(SYSREGS["ELR_EL1"].encoding) == CODE + 4 * n
    assert [bench.p.get_v(n) for n in range(32)] == list(range(32))
    assert ([bench.p.get_x(n) for n in range(31)], bench.p.pstate) == before
