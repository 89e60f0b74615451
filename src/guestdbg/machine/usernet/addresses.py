"""The addresses of the user-mode network: those of QEMU's."""

import ipaddress

__all__ = ["GATEWAY", "GATEWAY_MAC", "GUEST", "GUEST_MAC", "NETMASK"]

GATEWAY = ipaddress.IPv4Address("10.0.2.2").packed
GUEST = ipaddress.IPv4Address("10.0.2.15").packed
NETMASK = ipaddress.IPv4Address("255.255.255.0").packed

GATEWAY_MAC = bytes.fromhex("525500000202")
GUEST_MAC = bytes.fromhex("525400123456")
