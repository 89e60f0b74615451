"""Ethernet frames with ARP, IPv4, ICMP, UDP and TCP: taken apart and put together.

Sources: RFC 826 (ARP), 791 (IPv4), 792 (ICMP), 768 (UDP), 9293 (TCP). What is damaged, fragmented
or of another protocol is no packet: the functions that parse answer None.
"""

from __future__ import annotations

import array
import struct
import sys
from enum import IntEnum, IntFlag
from typing import NamedTuple

__all__ = [
    "BROADCAST",
    "FRAME_MAX",
    "MTU",
    "Arp",
    "EtherType",
    "Ipv4",
    "Protocol",
    "TcpFlag",
    "TcpSegment",
    "Udp",
    "arp_reply",
    "checksum",
    "ethernet",
    "ipv4",
    "parse_arp",
    "parse_ipv4",
    "parse_tcp",
    "parse_udp",
    "tcp",
    "udp",
]

BROADCAST = b"\xff" * 6
MTU = 1500
FRAME_MAX = 14 + MTU

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_UDP = struct.Struct("!HHHH")
_TCP = struct.Struct("!HHIIBBHHH")
_PSEUDO = struct.Struct("!4s4sBBH")
_FRAGMENT = 0x3FFF  # more fragments, and the offset
_ARP_REQUEST, _ARP_REPLY = 1, 2
_MSS = 2


class EtherType(IntEnum):
    IPV4 = 0x0800
    ARP = 0x0806


class Protocol(IntEnum):
    ICMP = 1
    TCP = 6
    UDP = 17


class TcpFlag(IntFlag):
    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16


class Arp(NamedTuple):
    """A request for the hardware address of ``target``."""

    sender_mac: bytes
    sender: bytes
    target: bytes


class Ipv4(NamedTuple):
    """A whole packet."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes


class Udp(NamedTuple):
    source: int
    destination: int
    payload: bytes


class TcpSegment(NamedTuple):
    source: int
    destination: int
    seq: int
    ack: int
    flags: int
    window: int
    mss: int | None
    payload: bytes


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of ``data``; 0 if it has a right one in it."""
    words = array.array("H", data + b"\0" if len(data) % 2 else data)
    if sys.byteorder == "little":
        words.byteswap()
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(destination: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    return destination + source + kind.to_bytes(2, "big") + payload


def parse_arp(data: bytes) -> Arp | None:
    """A request for an IPv4 address; None for anything else."""
    if len(data) < _ARP.size:
        return None
    hardware, kind, *sizes, operation, mac, sender, _, target = _ARP.unpack_from(data)
    if (hardware, kind, *sizes, operation) != (1, EtherType.IPV4, 6, 4, _ARP_REQUEST):
        return None
    return Arp(mac, sender, target)


def arp_reply(mac: bytes, address: bytes, request: Arp) -> bytes:
    """The answer that ``address`` is at ``mac``."""
    return _ARP.pack(
        *(1, EtherType.IPV4, 6, 4, _ARP_REPLY),
        *(mac, address, request.sender_mac, request.sender),
    )


def parse_ipv4(data: bytes) -> Ipv4 | None:
    """A packet that is whole and undamaged; None otherwise."""
    if len(data) < _IPV4.size:
        return None
    first, _, total, _, fragment, _, protocol, _, source, destination = _IPV4.unpack_from(data)
    header = (first & 15) * 4
    if first >> 4 != 4 or not _IPV4.size <= header <= total <= len(data) or fragment & _FRAGMENT:
        return None
    if checksum(data[:header]):
        return None
    return Ipv4(source, destination, protocol, data[header:total])


def ipv4(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    total = _IPV4.size + len(payload)
    fields = (0x45, 0, total, 0, 0x4000, 64, protocol)
    header = _IPV4.pack(*fields, 0, source, destination)
    return _IPV4.pack(*fields, checksum(header), source, destination) + payload


def _pseudo(packet: Ipv4) -> bytes:
    return _PSEUDO.pack(packet.source, packet.destination, 0, packet.protocol, len(packet.payload))


def parse_udp(packet: Ipv4) -> Udp | None:
    data = packet.payload
    if len(data) < _UDP.size:
        return None
    source, destination, length, check = _UDP.unpack_from(data)
    if not _UDP.size <= length <= len(data):
        return None
    data = data[:length]
    if check and checksum(_pseudo(packet._replace(payload=data)) + data):
        return None
    return Udp(source, destination, data[_UDP.size :])


def udp(source: bytes, destination: bytes, datagram: Udp) -> bytes:
    """An IPv4 packet with a datagram."""
    length = _UDP.size + len(datagram.payload)
    header = _UDP.pack(datagram.source, datagram.destination, length, 0)
    packet = Ipv4(source, destination, Protocol.UDP, header + datagram.payload)
    check = checksum(_pseudo(packet) + packet.payload) or 0xFFFF
    data = header[:6] + check.to_bytes(2, "big") + datagram.payload
    return ipv4(source, destination, Protocol.UDP, data)


def parse_tcp(packet: Ipv4) -> TcpSegment | None:
    data = packet.payload
    if len(data) < _TCP.size:
        return None
    source, destination, seq, ack, offset, flags, window, _, _ = _TCP.unpack_from(data)
    header = (offset >> 4) * 4
    if not _TCP.size <= header <= len(data) or checksum(_pseudo(packet) + data):
        return None
    mss = _mss(data[_TCP.size : header])
    return TcpSegment(source, destination, seq, ack, flags, window, mss, data[header:])


def _mss(options: bytes) -> int | None:
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        if at + 1 >= len(options) or options[at + 1] < 2:
            return None
        if options[at] == _MSS and options[at + 1] == 4 and at + 4 <= len(options):
            return int.from_bytes(options[at + 2 : at + 4], "big")
        at += options[at + 1]
    return None


def tcp(source: bytes, destination: bytes, segment: TcpSegment) -> bytes:
    """An IPv4 packet with a segment; ``mss`` becomes its option."""
    options = b"" if segment.mss is None else bytes((_MSS, 4)) + segment.mss.to_bytes(2, "big")
    offset = (_TCP.size + len(options)) // 4 << 4
    fields = segment.source, segment.destination, segment.seq, segment.ack, offset, segment.flags
    body = options + segment.payload
    header = _TCP.pack(*fields, segment.window, 0, 0)
    packet = Ipv4(source, destination, Protocol.TCP, header + body)
    check = checksum(_pseudo(packet) + packet.payload)
    return ipv4(
        source, destination, Protocol.TCP, _TCP.pack(*fields, segment.window, check, 0) + body
    )
