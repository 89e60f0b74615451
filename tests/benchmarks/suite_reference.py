"""The checksum of each program of the suite, computed in Python in another way."""

import ctypes
import ctypes.util
import hashlib
import math
import re
import struct
import zlib
from collections.abc import Callable
from itertools import combinations, count, islice

from bench import suite_programs

U32 = (1 << 32) - 1
U64 = (1 << 64) - 1


class Random:
    """The generator of suite.h: the upper half of a 64-bit congruential one."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def __call__(self) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & U64
        return self.state >> 32


def mixed(total: int, *values: int) -> int:
    for value in values:
        total = (total ^ value) * 0x100000001B3 & U64
    return total


def sort(rounds: int) -> int:
    random, total = Random(1), 0
    for _ in range(rounds):
        total = mixed(total, *sorted(random() for _ in range(4096)))
    return total


def hash_(rounds: int) -> int:
    random, total = Random(2), 0
    data = bytearray(random() & 0xFF for _ in range(4096))
    for _ in range(rounds):
        digest = hashlib.sha256(data).digest()
        data[:32] = digest
        total = mixed(total, *(int.from_bytes(digest[n : n + 4]) for n in range(0, 32, 4)))
    return total


def crc(rounds: int) -> int:
    random, total = Random(3), 0
    data = bytearray(random() & 0xFF for _ in range(16384))
    for _ in range(rounds):
        value = zlib.crc32(data)
        data[value % 16384] ^= value >> 24 | 1
        total = mixed(total, value)
    return total


def search(rounds: int) -> int:
    random, total = Random(4), 0
    text = bytes(ord("a") + (random() >> 30) for _ in range(65536))
    for _ in range(rounds):
        length = 4 + random() % 9
        start = random() % (65536 - 12)
        word = text[start : start + length]
        places, at = 0, text.find(word)
        while at >= 0:
            places = mixed(places, at)
            at = text.find(word, at + 1)
        total = mixed(total, places)
    return total


def matrix(rounds: int) -> int:
    random, total, n = Random(5), 0, 64
    pairs = [(random(), random()) for _ in range(n * n)]
    a = [[pairs[n * i + j][0] for j in range(n)] for i in range(n)]
    columns = [[pairs[n * i + j][1] for i in range(n)] for j in range(n)]
    for _ in range(rounds):
        a = [
            [sum(x * y for x, y in zip(row, column, strict=True)) & U32 for column in columns]
            for row in a
        ]
        for row in a:
            total = mixed(total, *row)
    return total


def list_(rounds: int) -> int:
    random, total = Random(6), 0
    for _ in range(rounds):
        values = sorted((random() for _ in range(2048)), reverse=True)
        total = mixed(total, *(value for value in values if value % 3))
    return total


def interpreter(rounds: int) -> int:
    sieve = bytearray([1]) * (100 * rounds + 1002)
    for n in range(2, len(sieve)):
        if sieve[n]:
            sieve[2 * n :: n] = bytes(len(sieve[2 * n :: n]))
    total = 0
    for n in range(rounds):
        primes = [k for k in range(100 * n + 2, 100 * n + 1002) if sieve[k]]
        total = mixed(total, len(primes))
        # The register machine stores each prime at the index of its count.
        total = mixed(total, *primes)
    return total


def copy(rounds: int) -> int:
    random, total, size = Random(7), 0, 65536
    words = (random() << 32 | random() for _ in count())
    buffers = [
        bytearray(b"".join(word.to_bytes(8, "little") for word in islice(words, size // 8))),
        bytearray(size),
    ]

    def word(which: int, n: int) -> int:
        return int.from_bytes(buffers[which][8 * n : 8 * n + 8], "little")

    for _ in range(rounds):
        for piece in range(16):
            source = piece & 1
            length, to, start = (random() % (size // 2) for _ in range(3))
            if piece & 2:
                start = start & ~7 | to & 7
            buffers[1 - source][to : to + length] = buffers[source][start : start + length]
        total = mixed(total, *(word(0, n) for n in range(0, size // 8, 64)))
    for n in range(size // 8):
        total = mixed(total, word(0, n), word(1, n))
    return total


# ---- floating point ----
# Python computes in double. A sum, product, quotient or square root in single precision is the one
# in double, rounded again: this is exact, as a double has more than twice the digits. For a fused
# multiply-add it is not, so libm computes it.

_LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
fma: Callable[[float, float, float], float] = _LIBM.fma
_LIBM.fma.restype, _LIBM.fma.argtypes = ctypes.c_double, [ctypes.c_double] * 3
fmaf: Callable[[float, float, float], float] = _LIBM.fmaf
_LIBM.fmaf.restype, _LIBM.fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3


def single(value: float) -> float:
    """The nearest single-precision number."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def bits(value: float, form: str) -> int:
    return int.from_bytes(struct.pack(form, value), "little")


def in_turns(rounds: int, one: Callable[[int], list[int]]) -> int:
    """The checksum of rounds of which every fourth is the same; `one` has the values of a round."""
    rounds_values = [one(n) for n in range(min(rounds, 4))]
    return mixed(0, *(value for n in range(rounds) for value in rounds_values[n % 4]))


def c_array(program: str, name: str) -> list[list[float]]:
    """The rows of a table of constants, from the program's source."""
    source = (suite_programs.DIRECTORY / f"{program}.c").read_text()
    match = re.search(rf" {name}\[.*?= \{{(.*?)\}};", source, re.DOTALL)
    assert match is not None
    rows = re.findall(r"\{([^{}]*)\}", match[1])
    return [[float(number.rstrip("f ")) for number in row.split(",")] for row in rows]


def bodies(rounds: int) -> int:
    sun, days, table = 39.47841760435743, 365.24, c_array("bodies", "given")
    time = 1 / (days * 12)

    def one(n: int) -> list[int]:
        x = [[value * (1 + n / 64) for value in row[:3]] for row in table]
        v = [[value * days for value in row[3:6]] for row in table]
        mass = [row[6] * sun for row in table]
        for _ in range(200):
            for i, j in combinations(range(5), 2):
                d = [p - q for p, q in zip(x[i], x[j], strict=True)]
                square = fma(d[0], d[0], fma(d[1], d[1], d[2] * d[2]))
                force = time / (square * math.sqrt(square))
                of_i, of_j = mass[i] * force, mass[j] * force
                v[i] = [fma(-p, of_j, q) for p, q in zip(d, v[i], strict=True)]
                v[j] = [fma(p, of_i, q) for p, q in zip(d, v[j], strict=True)]
            x = [
                [fma(time, p, q) for p, q in zip(*both, strict=True)]
                for both in zip(v, x, strict=True)
            ]
        return [
            bits(value, "<d") for i in range(5) for k in range(3) for value in (x[i][k], v[i][k])
        ]

    return in_turns(rounds, one)


def equaliser(rounds: int) -> int:
    random, size = Random(8), 2048
    samples = [[(random() >> 16 ^ 0x8000) - 0x8000 for _ in range(size)] for _ in range(4)]
    table = [[single(value) for value in row] for row in c_array("equaliser", "coefficients")]

    def one(n: int) -> list[int]:
        state = [[0.0, 0.0] for _ in table]
        output = []
        for sample in samples[n]:
            x = single(sample / 32768)
            for (b0, b1, b2, a1, a2), z in zip(table, state, strict=True):
                y = fmaf(b0, x, z[0])
                z[:] = fmaf(-a1, y, fmaf(b1, x, z[1])), fmaf(-a2, y, single(b2 * x))
                x = y
            output.append(int(max(-32768.0, min(32767.0, single(x * 32768)))) & 0xFFFF)
        return output[::8] + [bits(z, "<f") for both in state for z in both]

    return in_turns(rounds, one)


def image(rounds: int) -> int:
    random, size = Random(9), 128
    pairs = [[(random() >> 24, random() >> 24) for _ in range(size)] for _ in range(size)]
    first = [[pair[0] for pair in row] for row in pairs]
    second = [[pair[1] for pair in row] for row in pairs]

    def difference(a: list[int], b: list[int]) -> int:
        return sum(abs(p - q) for p, q in zip(a, b, strict=True))

    def one(n: int) -> list[int]:
        weight, values = 64 + 40 * n, []
        for y in range(size):
            other = second[(y + 32 * n) % size]
            row = [
                (p * weight + q * (255 - weight) + 128) % 65536 >> 8
                for p, q in zip(first[y], other, strict=True)
            ]
            values.append(difference(row, first[y]))
            row = [min(255, max(0, p - y) * 3 >> 1) for p in row]
            values.append(difference(row, other))
        return values

    return in_turns(rounds, one)


def product(rounds: int) -> int:
    random, size = Random(10), 64

    def matrix() -> list[list[float]]:
        signed = ((random() ^ 1 << 31) - (1 << 31) for _ in range(size * size))
        numbers = [single(single(number) / 2147483648) for number in signed]
        return [numbers[n : n + size] for n in range(0, size * size, size)]

    factors, right = [matrix() for _ in range(4)], matrix()

    def one(n: int) -> list[int]:
        rows = []
        for factor in factors[n]:
            row = [0.0] * size
            for a, b in zip(factor, right, strict=True):
                row = [fmaf(a, q, p) for p, q in zip(row, b, strict=True)]
            rows.append(row)
        values = []
        for j in range(size):
            length = 0.0
            for row in rows:
                length = single(length + single(row[j] * row[j]))
            values += [bits(single(math.sqrt(length)), "<f"), bits(rows[j][j], "<f")]
        return values

    return in_turns(rounds, one)


REFERENCE: dict[str, Callable[[int], int]] = {
    "sort": sort,
    "hash": hash_,
    "crc": crc,
    "search": search,
    "matrix": matrix,
    "list": list_,
    "interpreter": interpreter,
    "copy": copy,
    "bodies": bodies,
    "equaliser": equaliser,
    "image": image,
    "product": product,
}
