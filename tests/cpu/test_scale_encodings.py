"""What a model's ID registers promise is decoded, and everything else is UNDEFINED.

Our decoder against LLVM's, over every value of bits 31 to 10, for each processor model with the
features of LLVM that correspond to its own (see scan.py). What they differ in is listed with its
reason in scan_explained.py.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

from guestdbg.cpu.identification import identification
from guestdbg.cpu.processor import PhysicalMemory, Processor, encodings
from tests.cpu import scan
from tests.cpu.oracle import SEED
from tests.cpu.scan_explained import EXPLAINED, Explained, explain

needs_llvm = pytest.mark.skipif(scan.llvm_library() is None, reason="llvm-mc is not installed")
needs_objdump = pytest.mark.skipif(scan.objdump() is None, reason="no aarch64 objdump")

PARTS = 8


def processor(model: str) -> Processor:
    return Processor(PhysicalMemory(), identification=identification(model))


def llvm(model: str) -> scan.Llvm:
    return scan.Llvm(scan.MODELS[model][0])


class Scan:
    """Compares, counts the differences that are explained, keeps those that are not."""

    def __init__(self, cpu: Processor, llvm: scan.Llvm) -> None:
        self.cpu = cpu
        self.llvm = llvm
        self.scanned = 0
        self.explained: Counter[str] = Counter()
        self.wrong: dict[tuple[int, bool], list[str]] = {}

    def compare(self, some: array[int]) -> None:
        tested = self.cpu.decodes(some).translate(scan.ACCEPTED)
        reference = self.llvm.accepts(some)
        self.scanned += len(some)
        if tested == reference:
            return
        for raw, mine, other in zip(some, tested, reference, strict=True):
            if mine == other:
                continue
            text = self.llvm.text(raw)
            why = explain(raw, text, bool(mine))
            if why is not None:
                self.explained[why.name] += 1
                continue
            group = self.wrong.setdefault((raw >> 21, bool(mine)), [])
            if len(group) < 4:
                group.append(f"{raw:#010x} {text}")

    def check(self) -> None:
        lines = [
            f"bits 31..21 {top:011b}: {'we accept' if mine else 'LLVM accepts'} {', '.join(some)}"
            for (top, mine), some in sorted(self.wrong.items())
        ]
        print(f"seed {SEED}: {self.scanned} encodings; explained: {dict(self.explained)}")
        assert not lines, "\n".join([f"seed {SEED}, not explained:", *lines])


@needs_llvm
@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("model", scan.MODELS)
def test_every_opcode(model: str, part: int) -> None:
    """20,971,520 encodings in all (with GUESTDBG_SCAN=1024 all 4,294,967,296 of each model)."""
    it = Scan(processor(model), llvm(model))
    number = scan.variants(model)
    for top in range(part, scan.TOPS, PARTS):
        for some in scan.encodings_with(top, number):
            it.compare(some)
    it.check()
    assert it.scanned == scan.TOPS // PARTS * scan.MIDDLES * min(number, 1024)


@needs_llvm
@pytest.mark.parametrize("model", scan.MODELS)
def test_exceptions_and_branches_to_registers(model: str) -> None:
    """Where bits 4 to 0 are opcode too: every value of them, and of bits 31 to 10."""
    it = Scan(processor(model), llvm(model))
    rng = random.Random(f"{SEED} exceptions")
    for low in range(32):
        some = [0xD400_0000 | n << 21 | rng.getrandbits(16) << 5 | low for n in range(8)] * 4
        it.compare(array("I", some))
        for byte in (0x54, 0x55, 0xD6, 0xD7):
            middles = range(0, 1 << 24, 1 << 10)
            it.compare(
                array("I", [byte << 24 | n | rng.getrandbits(5) << 5 | low for n in middles])
            )
    it.check()


@needs_llvm
@pytest.mark.parametrize("model", scan.MODELS)
def test_system_instructions(model: str) -> None:
    """All of 1101010100: every op0 to op2, with Rt 31, which means none, and without."""
    it = Scan(processor(model), llvm(model))
    for rt in (31, 0, 5):
        it.compare(array("I", [0xD500_0000 | n << 5 | rt for n in range(1 << 17)]))
    it.check()
    assert it.explained["generic system instructions"] > 100_000


@needs_llvm
@pytest.mark.parametrize("it", EXPLAINED, ids=lambda it: it.name)
def test_each_explanation_has_its_example(it: Explained) -> None:
    """An entry that explains nothing any more must go."""
    reference = llvm("max")
    one = array("I", [it.example])
    tested, other = processor("max").decodes(one), reference.accepts(one)
    assert (bool(tested[0]), bool(other[0])) == (it.accepted, not it.accepted)
    assert explain(it.example, reference.text(it.example), it.accepted) is it


@needs_objdump
@pytest.mark.slow
def test_what_we_accept_binutils_knows() -> None:
    """A second opinion, of one who knows more instructions: of every row some thousands."""
    cpu = processor("max")
    rng = random.Random(f"{SEED} objdump")
    some = array("I")
    for _, mask, value in encodings():
        some.extend(rng.getrandbits(32) & ~mask & 0xFFFF_FFFF | value for _ in range(2000))
    tested = array("I", [raw for raw, mine in zip(some, cpu.decodes(some), strict=True) if mine])
    print(f"seed {SEED}: {len(tested)} encodings")
    assert len(tested) > len(some) // 2
    refused = scan.objdump_refuses(tested)
    wrong = [f"{raw:#010x}" for raw in refused if explain(raw, "", True) is None]
    assert not wrong, wrong[:20]


def test_decodes_takes_whole_encodings() -> None:
    cpu = processor("cortex-a57")
    assert cpu.decodes(array("I", [0xD503_201F, 0x1400_0000, 0])) == bytes([1, 2, 0])
    assert cpu.decodes(b"") == b""
    with pytest.raises(ValueError, match="multiple of 4"):
        cpu.decodes(b"12345")
