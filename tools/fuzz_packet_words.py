"""Random packets: every name that the server knows, with arguments that are right, nearly right or
arbitrary; agent expressions; streams of packets."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache

import fuzz_framing
from fuzz_framing import checksummed

from guestdbg.gdb.agent.opcodes import OPCODE_INFO, Opcode
from guestdbg.gdb.handlers.registry import HANDLERS
from guestdbg.gdb.packets import escape, frame

Make = Callable[["Words"], bytes]

_HEX = b"0123456789abcdef"
_NOISE = b"0123456789abcdefgpxX:;,=.-+?# $*}\x00\xff"
#: Weights of packets that take long, or that end the session.
_RARE = {b"D": 1, b"k": 1, b"vKill": 1, b"R": 2, b"vRun": 2, b"QStartNoAckMode": 2}
_OFTEN = {b"P": 60, b"Z": 60, b"z": 40, b"vCont": 60, b"M": 40, b"X": 40, b"m": 30, b"p": 30}
_USUAL = 10


class Words:
    """The parts of packets. ``code`` and ``data``: valid addresses."""

    def __init__(self, rng: random.Random, code: Sequence[int], data: Sequence[int]) -> None:
        self.rng = rng
        self._code = code
        self._data = data

    def hex(self, most: int) -> bytes:
        return b"%x" % self.rng.randrange(most)

    def address(self) -> bytes:
        rng = self.rng
        match rng.randrange(10):
            case 0 | 1 | 2 | 3:
                return b"%x" % rng.choice(self._code)
            case 4 | 5 | 6:
                return b"%x" % (rng.choice(self._data) + rng.randrange(-8, 16))
            case 7:
                return b"%x" % rng.choice(
                    (0, 1, 0x0900_0000, 0x0800_0000, 0x403F_FFFC, 0x403F_FFFF, 0x4040_0000)
                )
            case 8:
                return b"%x" % (
                    rng.choice((1 << 63, 1 << 64, 1 << 48, 0xFFFF << 48))
                    - rng.choice((0, 1, 4, 0x1000))
                )
            case _:
                return b"%x" % rng.getrandbits(rng.choice((4, 30, 48, 64, 70)))

    def length(self) -> bytes:
        rng = self.rng
        if rng.random() < 0.02:
            return self.hex(1 << rng.choice((12, 17, 64)))
        return b"%x" % rng.choice((0, 1, 2, 3, 4, 7, 8, 9, 16, 24, 64))

    def register(self) -> bytes:
        return self.hex(self.rng.choice((34, 34, 68, 260, 400, 1 << 70)))

    def thread(self) -> bytes:
        return self.rng.choice(
            (b"1", b"1", b"2", b"0", b"-1", b"p1.1", b"p1.2", b"p1.-1", b"p-1.-1", b"p0.0")
            + (b"p1", b"3", b"p2.1", b"", b"-2", b"p", b"ffffffffffffffffff", b"p1.1.1")
            + (b"f4241", b"p1.f4241", b"p1.ffffff", b"f4240")
        )

    def bytes_(self, count: int) -> bytes:
        return self.rng.randbytes(count).hex().encode()

    def value(self) -> bytes:
        rng = self.rng
        return self.bytes_(rng.choice((4, 8, 8, 8, 8, 16, 16, rng.randrange(20))))

    def known(self, *words: bytes) -> bytes:
        return self.rng.choice(words)


def _memory(words: Words) -> bytes:
    return words.address() + b"," + words.length()


def _write(words: Words, *, binary: bool) -> bytes:
    count = words.rng.choice((0, 1, 4, 4, 8, 16, 100, 5000))
    said = count if words.rng.random() < 0.8 else words.rng.randrange(20)
    data = words.rng.randbytes(count)
    body = escape(data) if binary else data.hex().encode()
    return b"%b,%x:%b" % (words.address(), said, body)


def expression(rng: random.Random) -> bytes:
    """An agent expression: valid, nearly valid, or random bytes."""
    if rng.random() < 0.1:
        return rng.randbytes(rng.randrange(30))
    code = bytearray()
    depth = 0
    ops = [op for op in OPCODE_INFO if op is not Opcode.PRINTF]
    for _ in range(rng.randrange(12)):
        op = rng.choice(ops)
        if depth < OPCODE_INFO[op].consumed and rng.random() < 0.95:
            op = rng.choice((Opcode.CONST8, Opcode.REG, Opcode.CONST64))
        if op in (Opcode.IF_GOTO, Opcode.GOTO):
            operand = rng.randrange(len(code) + 8).to_bytes(2, "big")
        elif op is Opcode.REG:
            operand = rng.choice((0, 5, 30, 31, 32, 33, 34, 70, 100, 9999)).to_bytes(2, "big")
        elif op is Opcode.CONST64:
            operand = rng.choice((0x4020_0000, 1 << 63, rng.getrandbits(64))).to_bytes(8, "big")
        else:
            operand = rng.randbytes(OPCODE_INFO[op].operand_size)
        code += bytes((op,)) + operand
        depth += OPCODE_INFO[op].produced - OPCODE_INFO[op].consumed
    if rng.random() < 0.3:
        text = rng.choice(
            (b"hit\n\0", b"%d %s\n\0", b"%5c%%\0", b"%p\0", b"%f\0", b"%", b"%1000d\0")
        )
        count = text.count(b"%") - 2 * text.count(b"%%")
        for _ in range(count + 2):
            code += bytes((Opcode.CONST8, rng.randrange(256)))
        code += bytes((Opcode.PRINTF, max(count, 0))) + len(text).to_bytes(2, "big") + text
    if rng.random() < 0.95:
        code.append(Opcode.END)
    if rng.random() < 0.1 and code:
        code[rng.randrange(len(code))] = rng.randrange(256)
    return bytes(code)


def _tail(words: Words) -> bytes:
    rng = words.rng
    parts = b""

    def one() -> bytes:
        code = expression(rng)
        said = len(code) if rng.random() < 0.95 else rng.randrange(40)
        return b"X%x,%b" % (said, code.hex().encode())

    for _ in range(rng.randrange(3)):
        parts += b";" + one()
    if rng.random() < 0.5:
        parts += b";cmds:%d," % rng.randrange(3)
        parts += b"".join(one() for _ in range(rng.randrange(1, 3)))
    return parts


def _point(words: Words) -> bytes:
    kind = words.rng.randrange(6)
    size = 4 if kind < 2 else words.rng.choice((1, 2, 4, 8, 8, 16, 32, 4096, 0))
    return b"%d,%b,%x" % (kind, words.address(), size)


def _insert(words: Words) -> bytes:
    return _point(words) + (_tail(words) if words.rng.random() < 0.3 else b"")


def _action(words: Words) -> bytes:
    rng = words.rng
    what = rng.choice((b"c", b"c", b"s", b"s", b"C05", b"S05", b"t", b"r", b"x", b"C", b"r1"))
    if what == b"r":
        start = words.address()
        what = b"r%b,%b" % (start, words.address())
    return what + (b":" + words.thread() if rng.random() < 0.6 else b"")


def _continue(words: Words) -> bytes:
    return b"".join(b";" + _action(words) for _ in range(words.rng.choice((1, 1, 1, 2, 3, 0))))


def _object(words: Words) -> bytes:
    name = words.known(
        b"features:read:target.xml", b"memory-map:read:", b"threads:read:", b"exec-file:read:1",
        b"features:read:other", b"auxv:read:", b"features:write:x", b"threads:read",
    )  # fmt: skip
    return b":" + name + b":" + words.hex(0x300) + b"," + words.hex(0x800)


def _search(words: Words) -> bytes:
    length = words.known(words.length(), words.length(), words.hex(1 << 28))
    what = words.rng.randbytes(words.rng.choice((1, 4, 4, 8, 0, 300)))
    return b":memory:" + words.address() + b";" + length + b";" + escape(what)


def _file(words: Words) -> bytes:
    return b":" + words.known(
        b"setfs:0",
        b"open:" + words.known(b"2f", words.bytes_(8), b"zz") + b",0,0",
        b"open:2f,1,0",
        b"open:" + b"/linux-symbols".hex().encode() + b",0,0",
        b"pread:" + words.hex(3) + b"," + words.length() + b"," + words.address(),
        b"fstat:" + words.hex(20),
        b"close:" + words.hex(20),
        b"readlink:2f",
        b"unlink:2f",
        b"pread:0,1",
        b"",
    )


def _monitor(words: Words) -> bytes:
    rng = words.rng
    line: bytes = rng.choice(
        (b"help", b"caps", b"debug-state", b"hit", b"console", b"console on", b"console off", b"")
        + (b"register esr_el1", b"register nothing", b"unwatch all", b"unwatch 3", b"watch")
        + (b"type a\\n", b"type \\x", b"phys", b"phys 0x" + words.address())
        + (b"phys 0x" + words.address() + b" " + str(rng.randrange(9000)).encode(),)
        + (b"phys 0x%b = 0x%b %d" % (words.address(), words.value(), rng.randrange(10)),)
        + (b"translate 0x" + words.address(), b"watch counter if counter > 5", b"watch 0x10")
        + (b"watch 0x%b,%d:%b" % (words.address(), rng.randrange(20), rng.choice((b"r", b"rw"))),)
        + (b"status", b"register x0", b"register d3", b"phys 0x9000018 4")
        + (b"info mem", b"info mtree -f", b"info registers", b"info cpus", b"info status")
        + (b"linux", b"linux ps", b"linux threads on", b"linux threads off", b"linux page 1")
        + (b"linux task 1", b"linux dmesg x", b"linux current", b"linux symbols main")
        + (b"info", b"info version", b"info x", b"gpa2hva 0", b"gva2gpa 0x" + words.address())
        + (b"snapshot a", b"snapshot", b"snapshots", b"snapshots delete all", b"restore a")
        + (rng.randbytes(8), b"'", b"reset" if rng.random() < 0.1 else b"res", b"c")
    )
    text = line.hex().encode()
    return b"," + (text if rng.random() < 0.95 else text[:-1])


_ARGUMENTS: dict[bytes, Make] = {
    b"p": Words.register,
    b"P": lambda w: w.register() + b"=" + w.value(),
    b"G": lambda w: w.bytes_(w.rng.choice((268, 268, 264, 300, 10))),
    b"m": _memory,
    b"x": _memory,
    b"M": lambda w: _write(w, binary=False),
    b"X": lambda w: _write(w, binary=True),
    b"Z": _insert,
    b"z": _point,
    b"H": lambda w: w.known(b"g", b"c", b"g", b"x") + w.thread(),
    b"T": Words.thread,
    b"qThreadExtraInfo": lambda w: b"," + w.thread(),
    b"c": lambda w: w.known(b"", b"", w.address()),
    b"s": lambda w: w.known(b"", b"", w.address()),
    b"C": lambda w: w.known(b"05", b"05;" + w.address(), b"0", b""),
    b"S": lambda w: w.known(b"05", b"05;" + w.address(), b"zz"),
    b"vCont": _continue,
    b"QNonStop": lambda w: w.known(b":0", b":1", b":2", b"", b":0"),
    b"qXfer": _object,
    b"vFile": _file,
    b"qSearch": _search,
    b"qRcmd": _monitor,
    b"qSupported": lambda w: w.known(
        b"",
        b":swbreak+;hwbreak+",
        b":multiprocess+;error-message+",
        b":x;;=;+",
        b":vContSupported+",
    ),
    b"qRegisterInfo": lambda w: w.hex(w.rng.choice((70, 400))),
    b"qMemoryRegionInfo": lambda w: w.known(b":" + w.address(), b":" + w.address(), b""),
    b"qqemu": lambda w: w.known(b".Supported", b".PhyMemMode", b".sstepbits", b".sstep", b"."),
    b"Qqemu": lambda w: w.known(
        b".PhyMemMode:1", b".PhyMemMode:0", b".PhyMemMode:", b".sstep=7", b".sstep=0x1", b".sstep=9"
    ),
    b"D": lambda w: w.known(b"", b";1"),
    b"R": lambda w: b"00",
    b"vRun": lambda w: w.known(b"", b";", b";2f;61"),
    b"vKill": lambda w: b";1",
}


@cache
def _names() -> tuple[list[bytes], list[int]]:
    names = list(HANDLERS)
    return names, [_RARE.get(name, _OFTEN.get(name, _USUAL)) for name in names]


def mutated(rng: random.Random, payload: bytes) -> bytes:
    """The payload with a few random changes."""
    found = bytearray(payload)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(5):
            case 0:
                del found[at : at + rng.randrange(1, 4)]
            case 1:
                found[at:at] = bytes(rng.choices(_NOISE, k=rng.randrange(1, 4)))
            case 2:
                found[at : at + 1] = bytes((rng.choice(_NOISE),))
            case 3:
                del found[at:]
            case _:
                found[at:at] = bytes(rng.choices(_HEX, k=rng.choice((1, 16, 17, 60))))
    return bytes(found)


def payload(words: Words) -> bytes:
    """A random payload, escaped as on the wire."""
    rng = words.rng
    if rng.random() < 0.02:
        return escape(rng.randbytes(rng.randrange(24)))
    names, weights = _names()
    (name,) = rng.choices(names, weights)
    make = _ARGUMENTS.get(name)
    found = name + (make(words) if make is not None else b"")
    return mutated(rng, found) if rng.random() < 0.2 else found


def pieces(words: Words, packets: int) -> tuple[list[bytes], int]:
    """A client's stream in pieces, and the number of packets in it."""
    rng = words.rng
    found: list[bytes] = []
    done = 0
    while done < packets:
        several = rng.choice((1, 1, 1, 2, 5, 30))
        stream = b""
        for _ in range(several):
            packet = checksummed(payload(words))
            if rng.random() < 0.15:
                packet = fuzz_framing.damage(rng, packet)
            elif rng.random() < 0.0002:
                packet = fuzz_framing.too_long(rng)
            stream += packet
            if rng.random() < 0.2:
                stream += rng.choice((b"+", b"+", b"-", b"\x03", b"\x03"))
        done += several
        if rng.random() < 0.03 and len(stream) < 2_000:
            found += fuzz_framing.cut(rng, stream)
        else:
            found.append(stream)
    return found, done


def packet_with(data: bytes) -> bytes:
    """The packet with this content."""
    return frame(escape(data))
