"""A DHCP server for one guest (RFC 2131): it always has the same address."""

from __future__ import annotations

import struct

from guestdbg.machine.usernet.addresses import GATEWAY, GUEST, NETMASK

__all__ = ["CLIENT_PORT", "SERVER_PORT", "answer"]

SERVER_PORT, CLIENT_PORT = 67, 68

_LEASE_SECONDS = 86400
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_MAGIC = bytes.fromhex("63825363")
_REQUEST, _REPLY = 1, 2

_PAD, _END = 0, 255
_OPTION_MASK, _OPTION_ROUTER, _OPTION_REQUESTED = 1, 3, 50
_OPTION_LEASE, _OPTION_TYPE, _OPTION_SERVER = 51, 53, 54

_DISCOVER, _OFFER, _REQUEST_TYPE, _ACK, _NAK = 1, 2, 3, 5, 6


def answer(message: bytes) -> bytes | None:
    """The reply to a client's message; None if it gets none."""
    if len(message) < _HEADER.size + len(_MAGIC):
        return None
    op, _, _, _, xid, _, flags, client, *_, chaddr, _, _ = _HEADER.unpack_from(message)
    if op != _REQUEST or not message[_HEADER.size :].startswith(_MAGIC):
        return None
    options = _options(message[_HEADER.size + len(_MAGIC) :])
    kind = options.get(_OPTION_TYPE, b"")
    server = options.get(_OPTION_SERVER, GATEWAY)
    if kind == bytes((_DISCOVER,)):
        reply = _OFFER
    elif kind == bytes((_REQUEST_TYPE,)) and server == GATEWAY:
        requested = options.get(_OPTION_REQUESTED, client)
        reply = _ACK if requested == GUEST else _NAK
    else:
        return None
    given = bytes(4) if reply == _NAK else GUEST
    header = _HEADER.pack(
        *(_REPLY, 1, 6, 0, xid, 0, flags, bytes(4), given, GATEWAY, bytes(4)),
        *(chaddr, b"", b""),
    )
    found = [(_OPTION_TYPE, bytes((reply,))), (_OPTION_SERVER, GATEWAY)]
    if reply != _NAK:
        found += [
            (_OPTION_LEASE, _LEASE_SECONDS.to_bytes(4, "big")),
            (_OPTION_MASK, NETMASK),
            (_OPTION_ROUTER, GATEWAY),
        ]
    encoded = b"".join(bytes((code, len(value))) + value for code, value in found)
    # Some clients expect the 300 bytes of BOOTP.
    return (header + _MAGIC + encoded + bytes((_END,))).ljust(300, b"\0")


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        if at + 2 > len(data):
            break
        length = data[at + 1]
        found[data[at]] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return found
