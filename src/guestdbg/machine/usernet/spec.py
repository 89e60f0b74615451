"""Networks as text: ``user[,forward=tcp:HOSTPORT:GUESTPORT]...``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from guestdbg.machine.errors import MachineError

__all__ = ["Forward", "NetSpec", "NetworkError", "parse_net"]

_FORWARD = re.compile(r"tcp:([0-9]{1,5}):([0-9]{1,5})")
_QEMU_FORWARD = re.compile(r"tcp:(?:127\.0\.0\.1)?:([0-9]+)-(?:10\.0\.2\.15)?:([0-9]+)")
_WRITTEN = "user[,forward=tcp:HOSTPORT:GUESTPORT]"


class NetworkError(MachineError):
    """A network cannot be made: its specification, or a port that is in use."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Connections to ``host_port`` of 127.0.0.1 go to ``guest_port`` of the guest (TCP)."""

    host_port: int
    guest_port: int

    def __post_init__(self) -> None:
        for port in (self.host_port, self.guest_port):
            if not isinstance(port, int) or not 1 <= port <= 65535:
                raise NetworkError(f"forward of port {port!r}: ports are 1 to 65535")


@dataclass(frozen=True, slots=True)
class NetSpec:
    """A user-mode network with these forwards.

    ``plugged_in=False``: the guest has its network card, and nothing is at the other end.
    """

    forwards: tuple[Forward, ...] = ()
    plugged_in: bool = True

    def __post_init__(self) -> None:
        ports = [forward.host_port for forward in self.forwards]
        for port in ports:
            if ports.count(port) > 1:
                raise NetworkError(f"host port {port} is forwarded twice: choose another for one")


def parse_net(text: str | NetSpec) -> NetSpec:
    """The network that ``user[,forward=tcp:HOSTPORT:GUESTPORT]...`` describes.

    Raises:
        NetworkError: it is none.
    """
    if isinstance(text, NetSpec):
        return text
    if not isinstance(text, str):
        raise NetworkError(f"net={text!r}: it must be a text such as 'user', or a NetSpec")
    kind, *options = text.split(",")
    if kind != "user":
        raise NetworkError(
            f"network {text!r}: the only kind is user (loopback of the host); write {_WRITTEN}"
        )
    forwards = []
    for option in options:
        name, _, value = option.partition("=")
        if name == "hostfwd" and (qemu := _QEMU_FORWARD.fullmatch(value)):
            raise NetworkError(
                f"network {text!r}: hostfwd= is QEMU's spelling; write "
                f"forward=tcp:{qemu[1]}:{qemu[2]}"
            )
        match = _FORWARD.fullmatch(value) if name == "forward" else None
        if match is None:
            raise NetworkError(f"network {text!r}: {option!r} is not an option; write {_WRITTEN}")
        forwards.append(Forward(int(match[1]), int(match[2])))
    return NetSpec(tuple(forwards))
