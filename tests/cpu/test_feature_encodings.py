"""What a feature adds to the decode table is what extension_encodings says that it adds."""

from __future__ import annotations

import random
from array import array

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

from guestdbg.arm64.cpu_models import CPU_MODELS, CpuModel
from guestdbg.arm64.extension_encodings import EXTENSION_ROWS, extension_instruction
from guestdbg.arm64.features import FEATURES
from guestdbg.cpu.identification import identification
from guestdbg.cpu.processor import PhysicalMemory, Processor, encodings

MAX = CPU_MODELS["max"]
#: Features that no instruction of A64 outside the hint space, and no register, needs.
NO_ENCODINGS = {"BTI", "CSV2", "CSV3", "HPDS", "PACIMP", "SSBS", "TTCNP", "TTST", "XNX"}
#: Where a register is not decoded but looked up: MSR and MRS are one row each.
SYSTEM = range(0xD500_0000, 0xD540_0000)


def without(name: str) -> CpuModel:
    """The largest model without a feature and all that require it."""
    gone = {name}
    while True:
        more = {it.name for it in FEATURES.values() if gone & {*it.requires}} - gone
        if not more:
            break
        gone |= more
    if name == "FEAT_PACIMP":
        gone.add("FEAT_PAuth")
    return CpuModel(f"max without {name}", MAX.features - gone, MAX.midr)


def samples() -> array[int]:
    """Some encodings of every row of the decode table, and of every row of extensions."""
    rng = random.Random(1)
    rows = [(mask, value) for _, mask, value in encodings()]
    rows += [(mask, value) for _, _, value, mask in EXTENSION_ROWS]
    return array(
        "I", (rng.getrandbits(32) & ~m & 0xFFFF_FFFF | v for m, v in rows for _ in range(24))
    )


SAMPLES = samples()
EXTENSIONS = [extension_instruction(raw) for raw in SAMPLES]
WITH_ALL = Processor(PhysicalMemory(), identification=identification(MAX)).decodes(SAMPLES)


@pytest.mark.parametrize("name", sorted(MAX.features - {"FEAT_FP", "FEAT_AdvSIMD"}))
def test_the_decode_table_and_the_table_of_extensions_agree(name: str) -> None:
    model = without(name)
    gone = MAX.features - model.features
    some = Processor(PhysicalMemory(), identification=identification(model)).decodes(SAMPLES)
    lost = 0
    for raw, found, before, now in zip(SAMPLES, EXTENSIONS, WITH_ALL, some, strict=True):
        if before and not now:
            assert found is not None, f"{raw:#010x}"
            both = "FEAT_FP16" in gone and "with FP16" in found.name
            assert found.feature in gone or both, f"{raw:#010x}: {found}"
            lost += found.feature == name
        elif now and found is not None and raw not in SYSTEM:
            assert found.feature not in gone, f"{raw:#010x} still decodes: {found}"
    if name.removeprefix("FEAT_") not in NO_ENCODINGS:
        assert lost, f"no encoding needs {name}"


def test_what_no_model_has_is_not_decoded() -> None:
    for raw, found, decoded in zip(SAMPLES, EXTENSIONS, WITH_ALL, strict=True):
        if found is not None and found.feature not in FEATURES and raw not in SYSTEM:
            assert not decoded, f"{raw:#010x}: {found}"
