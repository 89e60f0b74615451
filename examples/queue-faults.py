"""A campaign: what a single flipped bit does to the firmware of queue.elf.

    guestdbg campaign examples/queue-faults.py --cases 200

The queue's memory gets one wrong bit, at any time while the first jobs are done. Some flips are
harmless, some make the firmware count wrong jobs without a word, and some send it to an address
where there is no memory.
"""

from pathlib import Path

import guestdbg
from guestdbg.campaign import Case
from guestdbg.guest_campaign import At, CaseRun, Change

#: Cases end after so many instructions: 465 jobs are done by then.
INSTRUCTIONS = 200_000
#: What is counted by then if nothing is wrong.
COUNTS = {"made": 467, "done": 465, "sum_made": 108_811, "sum_done": 107_880}
SETTINGS = {
    "title": "one flipped bit in the queue of queue.elf",
    "cases": 500,
    "max_instructions": INSTRUCTIONS,
    "exceptions": True,
    "failures": ["exception", "wrong jobs"],
}


class FlipBit(Change):
    """One bit of a variable becomes its opposite."""

    def __init__(self, where: str, bit: int) -> None:
        self.where, self.bit = where, bit

    def apply(self, guest: guestdbg.Guest) -> None:
        address = guest.resolve(self.where).address + self.bit // 8
        byte = guest.read(address, 1)[0]
        guest.write(address, bytes([byte ^ 1 << self.bit % 8]))

    def __str__(self) -> str:
        return f"bit {self.bit} of {self.where} flipped"


def start() -> guestdbg.Guest:
    """The guest where the cases begin."""
    queue = Path(__file__).parent / "queue.elf"
    guest = guestdbg.load(queue, provider="soft", console=None)
    guest.run(until="main")
    return guest


def vary(case: Case) -> Change:
    """What differs in a case: which bit, and when."""
    chance = case.random
    bits = 8 * 272  # of the variable `queue`
    return At(chance.randrange(INSTRUCTIONS), FlipBit("queue", chance.randrange(bits)))


def classify(run: CaseRun) -> str | None:
    """The last word about a case: None leaves it as it is."""
    if run.stop.reason != "limit":
        return None
    counts = [run.guest.read_u32(run.guest.symbol(name).address) for name in COUNTS]
    return "no effect" if counts == list(COUNTS.values()) else "wrong jobs"
