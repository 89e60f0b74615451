"""The encoding space, sampled densely, and two disassemblers to compare with.

LLVM knows which feature brought an instruction, so it can be asked for the features of each
processor model alone. Binutils' objdump knows all later ones, too: nothing that it calls undefined
may be accepted.

Bits 31 to 10 of an encoding, which hold the opcodes, take every value; bits 9 to 0, as a rule two
registers, take some values of each (`VARIANTS`; GUESTDBG_SCAN=1024: all of them, the whole of 2**32
encodings for each model, in about two hours of one core each).
"""

from __future__ import annotations

import ctypes
import os
import random
import re
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

from tests.cpu.oracle import SEED

#: Model -> LLVM's features, and how many values bits 9 to 0 take. The largest model has all the
#: instructions, in every form; the others differ in which of them there are.
MODELS = {
    "max": (
        "+v8.2a,+aes,+sha2,+sha3,+fullfp16,+fp16fml,+dotprod,+complxnum,+jsconv,+rcpc,+pauth,"
        "+flagm,+dit,+sb,+ssbs,+bti,+ccdp",
        3,
    ),
    "armv8.2": ("+v8.2a,+aes,+sha2,+fullfp16,+dotprod,+rcpc,+ssbs", 1),
    "cortex-a57": ("+v8a,+crc,+aes,+sha2", 1),
}
_ALL_VARIANTS = os.environ.get("GUESTDBG_SCAN")


def variants(model: str) -> int:
    """How many values bits 9 to 0 take for this model."""
    return int(_ALL_VARIANTS, 0) if _ALL_VARIANTS else MODELS[model][1]


TOPS = 1 << 11  # values of bits 31..21
MIDDLES = 1 << 11  # values of bits 20..10

ACCEPTED = bytes([0]) + bytes([1]) * 255  # any answer but 0 says that the encoding is allocated


def llvm_library() -> Path | None:
    """The shared library that belongs to the llvm-mc that would be run, or GUESTDBG_LLVM."""
    named = os.environ.get("GUESTDBG_LLVM")
    if named:
        return Path(named)
    program = shutil.which("llvm-mc")
    if program is None:
        return None
    home = Path(program).resolve().parent.parent
    found = sorted((home / "lib").glob("libLLVM[-.0-9]*.so*"))
    found += sorted((home / "lib").glob("libLLVM.so*"))
    found += sorted((home / "lib").glob("libLLVM.dylib"))
    return found[0] if found else None


class Llvm:
    """LLVM's disassembler through its C interface. features: as llvm-mc's -mattr takes them.

    What LLVM decodes but calls unpredictable counts as not accepted: the interface does not
    distinguish them.
    """

    def __init__(self, features: str = "+v8a,+crc") -> None:
        path = llvm_library()
        if path is None:
            raise FileNotFoundError("LLVM is not installed (Debian: apt-get install llvm)")
        library = ctypes.CDLL(str(path))
        for part in ("TargetInfo", "TargetMC", "Disassembler"):
            getattr(library, f"LLVMInitializeAArch64{part}")()
        create = library.LLVMCreateDisasmCPUFeatures
        create.restype = ctypes.c_void_p
        create.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_void_p, ctypes.c_int]
        create.argtypes += [ctypes.c_void_p] * 2
        self.context = create(b"aarch64", b"generic", features.encode(), None, 0, None, None)
        if not self.context:
            raise ValueError(f"{path} disassembles no aarch64 with {features}")
        self.decode = library.LLVMDisasmInstruction
        self.decode.restype = ctypes.c_size_t
        self.decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]
        self.decode.argtypes += [ctypes.c_void_p, ctypes.c_size_t]
        self.out = ctypes.create_string_buffer(128)

    def accepts(self, encodings: array[int]) -> bytes:
        """A byte for each: 1 or 0."""
        at, count = encodings.buffer_info()
        lengths = map(
            self.decode,
            repeat(self.context),
            range(at, at + 4 * count, 4),
            repeat(4),
            repeat(0),
            repeat(ctypes.addressof(self.out)),
            repeat(len(self.out)),
        )
        return bytes(lengths).translate(ACCEPTED)

    def text(self, raw: int) -> str:
        """Its assembly text; empty if it is not accepted."""
        one = array("I", [raw])
        at = one.buffer_info()[0]
        if not self.decode(self.context, at, 4, 0, ctypes.addressof(self.out), len(self.out)):
            return ""
        return " ".join(self.out.value.decode().split())


def objdump() -> str | None:
    """A binutils objdump that knows A64."""
    return shutil.which("aarch64-linux-gnu-objdump")


def objdump_refuses(encodings: array[int]) -> list[int]:
    """Those that binutils calls undefined."""
    program = objdump()
    assert program is not None
    with tempfile.NamedTemporaryFile() as file:
        file.write(encodings.tobytes())
        file.flush()
        command = [program, "-D", "-z", "-m", "aarch64", "-b", "binary", file.name]
        listing = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    shown = listing.count("\n") - listing.count("\n\n")
    assert shown >= len(encodings), f"{program} showed {shown} of {len(encodings)} encodings"
    return [int(raw, 16) for raw in re.findall(r"\.inst\t0x([0-9a-f]{8}) ; undefined", listing)]


def lows(rng: random.Random, count: int, number: int) -> Iterator[list[int]]:
    """`number` lists of `count` values of bits 9..0. The first: any two registers. The second: for
    each, one of Rd 31, Rn 31 and Rn the same as Rd. Then three lists of only one of these."""
    if number >= 1024:
        for low in range(1024):
            yield [low] * count
        return
    for variant in range(number):
        some = array("H", rng.randbytes(2 * count))
        if variant == 1:
            kinds = rng.choices(range(3), k=count)
            yield [_special(it, kind) for it, kind in zip(some, kinds, strict=True)]
        elif 2 <= variant < 5:
            yield [_special(it, variant - 2) for it in some]
        else:
            yield [it & 0x3FF for it in some]


def _special(low: int, kind: int) -> int:
    """Two registers of which Rd is 31, Rn is 31, or both are the same."""
    if kind == 0:
        return low & 0x3E0 | 31
    return low & 31 | 0x3E0 if kind == 1 else (low & 31) * 0x21


def encodings_with(top: int, number: int = 5) -> Iterator[array[int]]:
    """All values of bits 20..10 for one value of bits 31..21, `number` times."""
    rng = random.Random(f"{SEED} scan {top}")
    base = top << 21
    for low in lows(rng, MIDDLES, number):
        yield array(
            "I", [base | it for it in map(int.__or__, range(0, MIDDLES << 10, 1 << 10), low)]
        )
