"""A user-mode network for one guest: the host's loopback, and nothing else.

addresses  of the guest and the gateway
frames     Ethernet, ARP, IPv4, ICMP, UDP and TCP
dhcp       the guest's address
tcp        one connection
spec       a network as text
network    the gateway, and the host's sockets
"""

from typing import TYPE_CHECKING

from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.machine.usernet.network import UserNetwork
    from guestdbg.machine.usernet.spec import Forward, NetSpec, NetworkError, parse_net

__all__ = ["Forward", "NetSpec", "NetworkError", "UserNetwork", "parse_net"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.machine.usernet.network": ("UserNetwork",),
        "guestdbg.machine.usernet.spec": (
            "Forward",
            "NetSpec",
            "NetworkError",
            "parse_net",
        ),
    },
)
