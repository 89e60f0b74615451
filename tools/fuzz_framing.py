"""Streams of packets, valid and damaged, in any pieces, compared with a model of the framing."""

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
    """The packet with this body, which is escaped already."""
    return frame(body)


def damage(rng: random.Random, packet: bytes) -> bytes:
    """A damaged packet, or a valid one that looks damaged."""
    body = packet[1:-3]
    match rng.randrange(13):
        case 0:  # a wrong checksum
            return b"$%b#%02x" % (body, rng.randrange(256))
        case 1:  # an invalid checksum
            return b"$" + body + b"#" + bytes(rng.choices(b"0aF-+ xg#$_", k=2))
        case 2:  # cut short
            return packet[: rng.randrange(len(packet))]
        case 3:  # without its beginning
            return packet[rng.randrange(1, len(packet)) :]
        case 4:  # another begins inside it
            at = rng.randrange(1, len(packet))
            return packet[:at] + b"$" + packet[at:]
        case 5:  # a wrong byte
            at = rng.randrange(len(packet))
            return packet[:at] + bytes((rng.randrange(256),)) + packet[at + 1 :]
        case 6:  # runs with any count
            count = rng.choice((0, 29, 31, 32, 33, 35, 36, 43, 45, 126, 127, 255))
            at = rng.randrange(len(body) + 1)
            return checksummed(body[:at] + b"*" + bytes((count,)) + body[at:])
        case 7:  # it ends inside an escape or a run
            return checksummed(body + rng.choice((b"}", b"*", b"}}", b"a*", b"}*")))
        case 8:  # an acknowledgement or Ctrl-C in the middle
            at = rng.randrange(len(packet))
            return packet[:at] + rng.choice((b"+", b"-", b"\x03")) + packet[at:]
        case 9:  # noise
            return bytes(rng.choices(_SPECIAL + b"qm0123,", k=rng.randrange(12)))
        case 10:
            return rng.randbytes(rng.randrange(40))
        case 11:  # only runs
            return checksummed(b"x" + b"*~" * rng.randrange(1, 40))
        case _:  # twice
            return packet + packet


def too_long(rng: random.Random) -> bytes:
    """A packet at or above the size limit, on the wire or after expansion."""
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
    """A stream in pieces, and the number of packets in it, valid and damaged."""
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


def decoded(pieces: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """The events of the server's decoder, in the form of the model's."""
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
    """The first difference between decoder and model; None if there is none."""
    from tests.gdb.model_framing import Model, plain

    model = Model(MAX_PACKET)
    for piece in pieces:
        model.feed(piece)
    expected, actual = plain(model.events), plain(decoded(pieces))
    for n, (one, other) in enumerate(zip(expected, actual, strict=False)):
        if one != other:
            return f"event {n} is {other!r:.200}, and must be {one!r:.200}"
    if len(expected) != len(actual):
        return f"{len(actual)} events instead of {len(expected)}: {actual[-2:]!r:.200}"
    return None


def run(seed: int, did: Counter[str]) -> int:
    """Some hundred packets; returns their number. Raises Failure with the smallest failure."""
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
