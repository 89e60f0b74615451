"""A guest as the target of AFL++.

server         its map, its inputs, its requests
fork_server    the process that it speaks to, and the one that runs the inputs
protocol       what they say to each other
shared_memory  the memory that the map and the inputs are in
"""

from guestdbg.fuzz.afl.fork_server import OnHang
from guestdbg.fuzz.afl.server import AflTarget, started_by_afl

__all__ = ["AflTarget", "OnHang", "started_by_afl"]
