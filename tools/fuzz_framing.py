"""Streams of packets, whole and damaged, in any pieces: the framing judged by the tests' model."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from fuzz_case import Failure
from fuzz_shrink import shrunk

from guestdbg.gdb.packets import MAX_PACKET, Decoder, Mark, Packet, escape, frame

_SPECIAL = b"$#}*+-\x03%~\x20\x1f\x7f"
PACKETS = 500


def checksummed(body: bytes) -> bytes:
    """A packet around a body as it stands on the wire."""
    return frame(body)


def damage(rng: random.Random, packet: bytes) -> bytes:
    """A packet with something wrong with it, or with something about it that looks wrong."""
    body = packet[1:-3]
    match rng.randrange(13):
        case 0:  # a checksum that is another
            return b"$%b#%02x" % (body, rng.randrange(256))
        case 1:  # one that is none
            return b"$" + body + b"#" + bytes(rng.choices(b"0aF-+ xg#$_", k=2))
        case 2:  # cut short
            return packet[: rng.randrange(len(packet))]
        case 3:  # its beginning is lost
            return packet[rng.randrange(1, len(packet)) :]
        case 4:  # another begins in it
            at = rng.randrange(1, len(packet))
            return packet[:at] + b"$" + packet[at:]
        case 5:  # a byte is another
            at = rng.randrange(len(packet))
            return packet[:at] + bytes((rng.randrange(256),)) + packet[at + 1 :]
        case 6:  # runs, of any count
            count = rng.choice((0, 29, 31, 32, 33, 35, 36, 43, 45, 126, 127, 255))
            at = rng.randrange(len(body) + 1)
            return checksummed(body[:at] + b"*" + bytes((count,)) + body[at:])
        case 7:  # it ends in an escape, or in a run
            return checksummed(body + rng.choice((b"}", b"*", b"}}", b"a*", b"}*")))
        case 8:  # an acknowledgement, or an interruption, in the middle
            at = rng.randrange(len(packet))
            return packet[:at] + rng.choice((b"+", b"-", b"\x03")) + packet[at:]
        case 9:  # noise
            return bytes(rng.choices(_SPECIAL + b"qm0123,", k=rng.randrange(12)))
        case 10:
            return rng.randbytes(rng.randrange(40))
        case 11:  # one that is nothing but runs
            return checksummed(b"x" + b"*~" * rng.randrange(1, 40))
        case _:  # twice
            return packet + packet


def too_long(rng: random.Random) -> bytes:
    """A packet at the limit, or above it, on the wire or when it is expanded."""
    match rng.randrange(4):
        case 0:
            return checksummed(b"x" * (MAX_PACKET + rng.randrange(-2, 3)))
        case 1:
            return checksummed(b"0*~" * (MAX_PACKET // 98 + rng.randrange(3)))
        case 2:
            return checksummed(b"}\x03" * (MAX_PACKET + rng.randrange(-1, 2)))
        case _:
            body = bytearray(b"y" * (2 * MAX_PACKET + rng.randrange(1, 5000)))
            if rng.random() < 0.5:
                body[rng.randrange(len(body))] = ord("$")
            return checksummed(bytes(body)) if rng.random() < 0.5 else b"$" + bytes(body)


def cut(rng: random.Random, stream: bytes) -> list[bytes]:
    """The stream in pieces."""
    pieces, at = [], 0
    longest = rng.choice((1, 3, 40, 400, 100_000) if len(stream) < 20_000 else (5000, 100_000))
    while at < len(stream):
        end = at + rng.randrange(1, longest + 1)
        pieces.append(stream[at:end])
        at = end
    return pieces


def stream_of(rng: random.Random) -> tuple[list[bytes], int]:
    """Pieces of a stream, and how many packets, damaged ones among them, they were made of."""
    packets = []
    for _ in range(rng.randrange(1, 60)):
        payload = rng.randbytes(rng.choice((0, 1, 3, 8, 20, 60)))
        packet = frame(escape(payload))
        if rng.random() < 0.5:
            packet = damage(rng, packet)
        elif rng.random() < 0.002:
            packet = too_long(rng)
        packets.append(packet)
        if rng.random() < 0.3:
            packets.append(rng.choice((b"+", b"-", b"\x03", b"++", b"\n")))
    stream = b"".join(packets)
    if rng.random() < 0.8 or len(stream) > 20_000:
        return cut(rng, stream), len(packets)
    return packets, len(packets)


def heard(pieces: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """What the server's decoder makes of it, in the model's words."""
    decoder = Decoder()
    found = []
    for piece in pieces:
        for event in decoder.feed(piece):
            if isinstance(event, Packet):
                found.append(("packet", event.data))
            elif isinstance(event, Mark):
                found.append(("mark", {"+": b"+", "-": b"-"}.get(event.value, b"\x03")))
            elif "begins inside" in event.reason:
                found.append(("cut", b""))
            else:
                found.append(("damaged", b""))
    return found


def differs(pieces: Sequence[bytes]) -> str | None:
    """How decoder and model differ; None: not at all."""
    from tests.gdb.model_framing import Model, plain

    model = Model(MAX_PACKET)
    for piece in pieces:
        model.feed(piece)
    right, said = plain(model.heard), plain(heard(pieces))
    for n, (one, other) in enumerate(zip(right, said, strict=False)):
        if one != other:
            return f"event {n} is {other!r:.200}, and must be {one!r:.200}"
    if len(right) != len(said):
        return f"{len(said)} events, and {len(right)} there are: {said[-2:]!r:.200}"
    return None


def run(seed: int, did: Counter[str]) -> int:
    """Some hundred packets; returns how many. Raises Failure, which shows the least that fails."""
    rng = random.Random(f"framing/{seed}")
    done = 0
    while done < PACKETS:
        pieces, count = stream_of(rng)
        done += count
        if differs(pieces):
            small = shrunk(pieces, lambda some: differs(some) is not None)
            raise Failure(f"{differs(small)}; the pieces: {small!r}")
    did["packets"] += done
    return done
