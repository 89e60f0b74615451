"""Hashes and ciphers made of the cryptographic instructions, as guests' libraries have them.

Each instruction is executed by the processor, with its operands in V0 (Vd), V1 (Vn), V2 (Vm) and
V3 (Va); what is between them (additions, and moving halves) is done here. Values are V registers as
integers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import EXIT_LIMIT
from tests.cpu.support import CODE, Bench

RN, RM, RA = 1 << 5, 2 << 16, 3 << 10
#: With Vd = V0, Vn = V1, and Vm = V2, Va = V3 where there are any.
WORDS = {
    "aese": 0x4E284800 | RN,
    "aesd": 0x4E285800 | RN,
    "aesmc": 0x4E286800 | RN,
    "aesimc": 0x4E287800 | RN,
    "sha1c": 0x5E000000 | RN | RM,
    "sha1p": 0x5E001000 | RN | RM,
    "sha1m": 0x5E002000 | RN | RM,
    "sha1h": 0x5E280800 | RN,
    "sha1su0": 0x5E003000 | RN | RM,
    "sha1su1": 0x5E281800 | RN,
    "sha256h": 0x5E004000 | RN | RM,
    "sha256h2": 0x5E005000 | RN | RM,
    "sha256su0": 0x5E282800 | RN,
    "sha256su1": 0x5E006000 | RN | RM,
    "sha512h": 0xCE608000 | RN | RM,
    "sha512h2": 0xCE608400 | RN | RM,
    "sha512su0": 0xCEC08000 | RN,
    "sha512su1": 0xCE608800 | RN | RM,
    "eor3": 0xCE000000 | RN | RM | RA,
    "bcax": 0xCE200000 | RN | RM | RA,
    "rax1": 0xCE608C00 | RN | RM,
}
XAR = 0xCE800000 | RN | RM  # imm6 at bit 10
CPACR_EL1 = 0xC082
#: ID_AA64ISAR0_EL1: AES with PMULL, SHA1, SHA2 with SHA512, SHA3.
ISAR0 = 2 << 4 | 1 << 8 | 2 << 12 | 1 << 32

M32, M64, M128 = (1 << 32) - 1, (1 << 64) - 1, (1 << 128) - 1


class Instructions:
    """Executes single instructions."""

    def __init__(self, isar0: int = ISAR0) -> None:
        self.bench = Bench()
        self.bench.p.set_sysreg(CPACR_EL1, 3 << 20)
        self.bench.p.set_sysreg(SYSREGS["ID_AA64ISAR0_EL1"].encoding, isar0)
        self.places: dict[int, int] = {}

    def execute(self, word: int, *operands: int) -> int:
        """operands: V0, V1, …. V0 after it."""
        p = self.bench.p
        if word not in self.places:
            self.places[word] = CODE + 4 * len(self.places)
            self.bench.put(self.places[word], [word])
        for n, value in enumerate(operands):
            p.set_v(n, value)
        p.pc = self.places[word]
        assert self.bench.run(1) == EXIT_LIMIT
        assert p.pc == self.places[word] + 4, "an exception"
        return int(p.get_v(0))

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *operands: self.execute(WORDS[name], *operands)

    def xar(self, n: int, m: int, rotate: int) -> int:
        return self.execute(XAR | rotate << 10, 0, n, m)


def lanes(value: int, bits: int) -> list[int]:
    return [value >> n & (1 << bits) - 1 for n in range(0, 128, bits)]


def vector(elements: list[int], bits: int) -> int:
    return sum((element & (1 << bits) - 1) << bits * n for n, element in enumerate(elements))


def add(a: int, b: int, bits: int) -> int:
    return vector([x + y for x, y in zip(lanes(a, bits), lanes(b, bits), strict=True)], bits)


def ext8(n: int, m: int) -> int:
    """EXT Vd, Vn, Vm, #8"""
    return n >> 64 | (m & M64) << 64


def padded(message: bytes, block: int) -> Iterator[list[int]]:
    """FIPS 180-4, 5.1: the words of each block."""
    size = block // 8
    whole = message + b"\x80"
    whole += bytes(-(len(whole) + size) % block)
    whole += (8 * len(message)).to_bytes(size, "big")
    for at in range(0, len(whole), block):
        yield list(struct.unpack(">16" + ("L" if block == 64 else "Q"), whole[at : at + block]))


def primes() -> Iterator[int]:
    n = 2
    while True:
        if all(n % k for k in range(2, int(n**0.5) + 1)):
            yield n
        n += 1


def root(value: int, degree: int) -> int:
    """The integer below it."""
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    return low


def fractions(count: int, bits: int, degree: int) -> list[int]:
    """The first bits of the fractions of the roots of the first primes (FIPS 180-4, 4.2, 5.3)."""
    found = primes()
    return [root(next(found) << degree * bits, degree) & (1 << bits) - 1 for _ in range(count)]


def sha1(cpu: Instructions, message: bytes) -> bytes:
    abcd = vector([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], 32)
    e = 0xC3D2E1F0
    keys = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)
    for block in padded(message, 64):
        w = [vector(block[n : n + 4], 32) for n in range(0, 16, 4)]
        before = abcd, e
        for group in range(20):
            rounds = (cpu.sha1c, cpu.sha1p, cpu.sha1m, cpu.sha1p)[group // 5]
            following = cpu.sha1h(0, abcd) & M32
            abcd = rounds(abcd, e, add(w[0], vector([keys[group // 5]] * 4, 32), 32))
            e = following
            w.append(cpu.sha1su1(cpu.sha1su0(w[0], w[1], w[2]), w[3]))
            del w[0]
        abcd, e = add(abcd, before[0], 32), e + before[1] & M32
    return struct.pack(">5L", *lanes(abcd, 32), e)


def sha256(cpu: Instructions, message: bytes) -> bytes:
    keys = fractions(64, 32, 3)
    start = fractions(8, 32, 2)
    abcd, efgh = vector(start[:4], 32), vector(start[4:], 32)
    for block in padded(message, 64):
        w = [vector(block[n : n + 4], 32) for n in range(0, 16, 4)]
        before = abcd, efgh
        for at in range(0, 64, 4):
            wk = add(w[0], vector(keys[at : at + 4], 32), 32)
            abcd, efgh = cpu.sha256h(abcd, efgh, wk), cpu.sha256h2(efgh, abcd, wk)
            w.append(cpu.sha256su1(cpu.sha256su0(w[0], w[1]), w[2], w[3]))
            del w[0]
        abcd, efgh = add(abcd, before[0], 32), add(efgh, before[1], 32)
    return struct.pack(">8L", *lanes(abcd, 32), *lanes(efgh, 32))


def sha512(cpu: Instructions, message: bytes) -> bytes:
    keys = fractions(80, 64, 3)
    start = fractions(8, 64, 2)
    state = [vector(start[n : n + 2], 64) for n in range(0, 8, 2)]
    for block in padded(message, 128):
        w = [vector(block[n : n + 2], 64) for n in range(0, 16, 2)]
        before = state
        for at in range(0, 80, 2):
            ab, cd, ef, gh = state
            wk = add(w[0], vector(keys[at : at + 2], 64), 64)
            sums = add(gh, ext8(wk, wk), 64)
            t = cpu.sha512h(sums, ext8(ef, gh), ext8(cd, ef))
            state = [cpu.sha512h2(t, cd, ab), ab, add(cd, t, 64), ef]
            w.append(cpu.sha512su1(cpu.sha512su0(w[0], w[1]), w[7], ext8(w[4], w[5])))
            del w[0]
        state = [add(a, b, 64) for a, b in zip(state, before, strict=True)]
    return struct.pack(">8Q", *(word for pair in state for word in lanes(pair, 64)))


def keccak(cpu: Instructions, state: list[int]) -> list[int]:
    """KECCAK-f[1600] of two states at once: lane (x, y) of both is state[x + 5 y]."""
    lfsr = 1
    for _ in range(24):
        column = [
            cpu.eor3(
                0, cpu.eor3(0, *(state[x + 5 * y] for y in (0, 1, 2))), state[x + 15], state[x + 20]
            )
            for x in range(5)
        ]
        d = [cpu.rax1(0, column[(x + 4) % 5], column[(x + 1) % 5]) for x in range(5)]
        moved = [0] * 25
        moved[0] = state[0] ^ d[0]
        x, y = 1, 0
        for t in range(24):  # rho and pi
            rotate = (t + 1) * (t + 2) // 2 % 64
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = cpu.xar(state[x + 5 * y], d[x], -rotate % 64)
            x, y = y, (2 * x + 3 * y) % 5
        state = [
            cpu.bcax(0, moved[x + 5 * y], moved[(x + 2) % 5 + 5 * y], moved[(x + 1) % 5 + 5 * y])
            for y in range(5)
            for x in range(5)
        ]
        for j in range(7):  # iota
            if lfsr & 1:
                state[0] ^= ((1 << (1 << j) - 1) & M64) * (1 << 64 | 1)
            lfsr = lfsr << 1 ^ (0x171 if lfsr & 0x80 else 0)
    return state


def sha3_256(cpu: Instructions, first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """Two messages of the same number of blocks."""
    rate = 136
    messages = []
    for message in (first, second):
        whole = bytearray(message + b"\x06")
        whole += bytes(-len(whole) % rate)
        whole[-1] |= 0x80
        messages.append(bytes(whole))
    state = [0] * 25
    for at in range(0, len(messages[0]), rate):
        blocks = [struct.unpack("<17Q", message[at : at + rate]) for message in messages]
        for n in range(17):
            state[n] ^= blocks[0][n] | blocks[1][n] << 64
        state = keccak(cpu, state)
    low, high = (struct.pack("<4Q", *(lane >> at & M64 for lane in state[:4])) for at in (0, 64))
    return low, high


def aes_keys(cpu: Instructions, key: bytes) -> list[int]:
    """FIPS 197, 5.2, of 128, 192 and 256 bits; SubWord() is AESE of a word in all columns."""
    words = list(struct.unpack(f"<{len(key) // 4}L", key))
    count, constant = len(words), 1
    for n in range(count, 4 * (count + 7)):
        word = words[-1]
        if n % count == 0:
            word = cpu.aese(vector([word] * 4, 32), 0) & M32
            word = (word >> 8 | word << 24 & M32) ^ constant
            constant = constant << 1 ^ (0x11B if constant & 0x80 else 0)
        elif count > 6 and n % count == 4:
            word = cpu.aese(vector([word] * 4, 32), 0) & M32
        words.append(words[n - count] ^ word)
    return [vector(words[n : n + 4], 32) for n in range(0, len(words), 4)]


def aes_encrypt(cpu: Instructions, key: bytes, block: bytes) -> bytes:
    keys = aes_keys(cpu, key)
    state = int.from_bytes(block, "little")
    for round_key in keys[:-2]:
        state = cpu.aesmc(0, cpu.aese(state, round_key))
    return (cpu.aese(state, keys[-2]) ^ keys[-1]).to_bytes(16, "little")


def aes_decrypt(cpu: Instructions, key: bytes, block: bytes) -> bytes:
    """The equivalent inverse cipher (5.3.5)."""
    keys = aes_keys(cpu, key)[::-1]
    keys[1:-1] = [cpu.aesimc(0, round_key) for round_key in keys[1:-1]]
    state = int.from_bytes(block, "little")
    for round_key in keys[:-2]:
        state = cpu.aesimc(0, cpu.aesd(state, round_key))
    return (cpu.aesd(state, keys[-2]) ^ keys[-1]).to_bytes(16, "little")
