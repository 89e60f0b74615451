"""``python -m tests.history.replayed FILE TIMES``: a recorded run in another process.

``TIMES`` is a JSON list of [turn, vCPU, instructions, pc]. Prints the digest of the guest at each
of them, in this order, then what it prints and how it ends when all of it is repeated, as JSON.
"""

import json
import sys

import guestdbg
from guestdbg.machine import Position, Time
from tests.history.digest import digest


def main(path: str, times: str) -> None:
    output = bytearray()
    with guestdbg.load(path, console=output.extend) as guest:
        found = []
        for *position, pc in json.loads(times):
            guest.goto(Time(Position(*position), pc))
            found.append(digest(guest))
        moved = bytes(output)
        guest.goto(guest.history.begin)
        stop = guest.run()
        guest.history.goto_end()
        end = {"stop": [stop.reason, stop.detail, stop.status], "digest": digest(guest)}
        print(json.dumps({"digests": found, "moved": moved.decode(), **end}))


if __name__ == "__main__":
    main(*sys.argv[1:])
