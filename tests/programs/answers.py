"""What the programs must print, computed in Python or taken from a standard."""

import hashlib
import struct
import zlib
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

from tests.benchmarks.suite_reference import REFERENCE, Random

# FIPS 197, appendix C: the ciphertexts of 00112233... with the keys 000102...
AES = {
    "128": "69c4e0d86a7b0430d8cdb78070b4c55a",
    "192": "dda97ca4864cdfe06eaf70a0ec0d7191",
    "256": "8ea2b7ca516745bfeafc49904b496089",
}
# The GCM specification, test case 2.
GHASH = "f38cbb1ad69223dcc3457ae5b6b0f885"


def crypto(output: str) -> None:
    """The digests are those of hashlib, and the blocks those of the standards."""
    random = Random(41)
    message = bytes(random() & 0xFF for _ in range(100_000))
    expected = []
    pieces = [message[n : 2 * n] for n in range(201)]
    for piece in (*pieces, message):
        expected.append(f"{len(piece)} sha1 {hashlib.sha1(piece).hexdigest()}")
        expected.append(f"{len(piece)} sha256 {hashlib.sha256(piece).hexdigest()}")
    lines = output.splitlines()
    assert lines[: len(expected)] == expected
    rest = lines[len(expected) :]
    text = "00112233445566778899aabbccddeeff"
    for size, encrypted in AES.items():
        at = rest.index(f"aes-{size} encrypted {encrypted}")
        assert rest[at + 1] == f"decrypted {text}"
        assert rest[at + 3] == f"and back {text}"
    assert f"ghash {GHASH}" in rest


def _crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def crc(output: str) -> None:
    """CRC-32 as zlib computes it, and CRC-32C."""
    assert _crc32c(b"123456789") == 0xE3069283
    random = Random(51)
    data = bytes(random() & 0xFF for _ in range(4096))
    pieces = {str(n): data[n : 2 * n] for n in range(300)} | {"all": data}
    assert output.splitlines() == [
        f"{name} {zlib.crc32(piece):08x} {_crc32c(piece):08x}" for name, piece in pieces.items()
    ]


def printf(output: str) -> None:
    """Every number is what Python reads and writes, and has come back from its text.

    picolibc rounds the shortest decimal number that is read as the value, and not the value itself.
    """
    lines = output.splitlines()
    numbers = [line for line in lines if line.endswith(("same", "DIFFERENT"))]
    assert len(numbers) > 800
    for line in numbers:
        bits, *texts, fixed, _, back = line.split()
        (value,) = struct.unpack(">d", bytes.fromhex(bits))
        for text in texts:
            assert float(text) == value, line
            assert len(Decimal(text).normalize().as_tuple().digits) == len(
                Decimal(repr(value)).normalize().as_tuple().digits
            ), line
        if abs(value) < 1e10:
            expected = Decimal(repr(value)).quantize(Decimal("1e-6"), ROUND_HALF_UP)
            assert fixed == f"{expected:.6f}", line
        assert back == "same"
    assert lines[-2:] == [
        "inf -INF nan inf 0x1p+0",
        "0 of 1000 floats did not come back",
    ]


def suite(name: str) -> Callable[[str], None]:
    """The checksum of two rounds of a program of bench/suite."""

    def check(output: str) -> None:
        assert output == f"{REFERENCE[name](2):016x}\n"

    return check
