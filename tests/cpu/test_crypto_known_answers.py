"""The cryptographic instructions give the hashes of Python's hashlib and the ciphers of FIPS 197.

Unicorn judges each instruction by itself (test_scale_simd.py); this is a judge of another origin.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

from guestdbg.arm64.sysregs import SYSREGS
from tests.cpu.crypto_guest import (
    CPACR_EL1,
    ISAR0,
    WORDS,
    XAR,
    Instructions,
    aes_decrypt,
    aes_encrypt,
    sha1,
    sha3_256,
    sha256,
    sha512,
)
from tests.cpu.oracle import SEED
from tests.cpu.support import CODE, Bench

LENGTHS = (0, 3, 55, 56, 63, 64, 111, 112, 128, 300)


@pytest.fixture(scope="module")
def cpu(tier: str) -> Instructions:
    return Instructions()


def message(length: int) -> bytes:
    return b"abc" if length == 3 else random.Random(f"{SEED} {length}").randbytes(length)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("function", [sha1, sha256, sha512], ids=lambda it: it.__name__)
def test_hash(
    cpu: Instructions, function: Callable[[Instructions, bytes], bytes], length: int
) -> None:
    expected = hashlib.new(function.__name__, message(length)).digest()
    assert function(cpu, message(length)) == expected


@pytest.mark.parametrize("length", [0, 3, 134, 135, 271])
def test_sha3(cpu: Instructions, length: int) -> None:
    """Two messages at once, in the two halves of the registers."""
    messages = message(length), bytes(length)
    expected = tuple(hashlib.sha3_256(it).digest() for it in messages)
    assert sha3_256(cpu, *messages) == expected


@pytest.mark.parametrize(
    ("bits", "encrypted"),
    [
        (128, "69c4e0d86a7b0430d8cdb78070b4c55a"),
        (192, "dda97ca4864cdfe06eaf70a0ec0d7191"),
        (256, "8ea2b7ca516745bfeafc49904b496089"),
    ],
)
def test_aes(cpu: Instructions, bits: int, encrypted: str) -> None:
    """FIPS 197, appendix C."""
    key = bytes(range(bits // 8))
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert aes_encrypt(cpu, key, block).hex() == encrypted
    assert aes_decrypt(cpu, key, bytes.fromhex(encrypted)) == block


# ---- features ----------------------------------------------------------------------------------

PMULL64 = 0x0EE0E000  # pmull v0.1q, v0.1d, v0.1d
FMOV_H = 0x0F00FC00  # fmov v0.4h, #2.0
#: (words, register, lowest bit of the field, the value from which on there are these instructions)
FEATURES = {
    "AES": ([WORDS[it] for it in ("aese", "aesd", "aesmc", "aesimc")], "ID_AA64ISAR0_EL1", 4, 1),
    "PMULL": ([PMULL64, PMULL64 | 1 << 30], "ID_AA64ISAR0_EL1", 4, 2),
    "SHA1": ([v for k, v in WORDS.items() if k.startswith("sha1")], "ID_AA64ISAR0_EL1", 8, 1),
    "SHA256": ([v for k, v in WORDS.items() if k.startswith("sha256")], "ID_AA64ISAR0_EL1", 12, 1),
    "SHA512": ([v for k, v in WORDS.items() if k.startswith("sha512")], "ID_AA64ISAR0_EL1", 12, 2),
    "SHA3": ([*(WORDS[it] for it in ("eor3", "bcax", "rax1")), XAR], "ID_AA64ISAR0_EL1", 32, 1),
    "FP16": ([FMOV_H], "ID_AA64PFR0_EL1", 16, 1),
}


@pytest.mark.parametrize("name", FEATURES)
def test_undefined_without_the_feature(name: str) -> None:
    words, register, low, value = FEATURES[name]
    encoding = SYSREGS[register].encoding
    for word in words:
        for present in (False, True):
            bench = Bench([word])
            p = bench.p
            p.set_sysreg(CPACR_EL1, 3 << 20)
            others = ISAR0 if register == "ID_AA64ISAR0_EL1" else p.get_sysreg(encoding)
            field = value if present else value - 1
            p.set_sysreg(encoding, others & ~(15 << low) | field << low)
            bench.run(1)
            esr = p.get_sysreg(SYSREGS["ESR_EL1"].encoding)
            assert (p.pc == CODE + 4) == present, hex(word)
            assert present or esr == 0x0200_0000, hex(esr)  # EC 0, IL
