"""The checksum of each program of the suite, computed in Python in another way."""

import hashlib
import zlib
from collections.abc import Callable
from itertools import count, islice

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


REFERENCE: dict[str, Callable[[int], int]] = {
    "sort": sort,
    "hash": hash_,
    "crc": crc,
    "search": search,
    "matrix": matrix,
    "list": list_,
    "interpreter": interpreter,
    "copy": copy,
}
