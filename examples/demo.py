"""A bug hunt: who overwrites the tail of the queue? `make demo` runs this.

The guest (examples/queue, bare metal) keeps jobs in a queue, and at the end its books do not
balance. Its console does not tell why. A hardware watchpoint on one member of one structure does.
"""

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax

import guestdbg
from guestdbg.debugger import Location

EXAMPLES = Path(__file__).resolve().parent
GUEST = EXAMPLES / "queue.elf"


def source(console: Console, location: Location, around: int = 3) -> None:
    """Shows the lines around a location, when the source is here."""
    if location.file is None or location.line is None:
        return
    path = EXAMPLES.parent / location.file
    if not path.is_file():
        path = EXAMPLES / location.file
    if path.is_file():
        console.print(
            Syntax(
                path.read_text(),
                "c",
                line_numbers=True,
                line_range=(max(1, location.line - around), location.line + around),
                highlight_lines={location.line},
                background_color="default",
            )
        )


def argument(guest: guestdbg.Guest, hit: guestdbg.Hit) -> str:
    """What the culprit was given: its first argument (X0) as an element of source_stats[]."""
    array = guest["source_stats"]
    element = array.type_.type
    index = (hit.vcpu.x[0] - array.address_) // element.size
    return f"stats = &source_stats[{index}], of an array of {array.type_.length}"


def run_alone(console: Console) -> None:
    """The guest by itself: something is wrong, and nothing says what."""
    console.rule("the guest alone", align="left")

    def show(data: bytes) -> None:
        console.out(data.decode(errors="replace"), end="", highlight=False)

    with guestdbg.load(GUEST, console=show) as guest:
        stop = guest.run(timeout=120)
    console.out(f"({stop.detail})", highlight=False)


def hunt(console: Console) -> bool:
    """The guest under watch; whether the culprit was found."""
    console.rule("the guest with a hardware watchpoint on queue.tail", align="left")
    with guestdbg.load(GUEST, console=None) as guest:
        size = guest["queue.size"].value_()

        # Who moves the tail by one has every right to. What else is written there is the bug.
        @guest.watch("queue.tail", access="write", when=lambda hit: hit.new != (hit.old + 1) % size)
        def culprit(hit: guestdbg.Hit) -> object:
            return guestdbg.STOP

        start = time.perf_counter()
        stop = guest.run(timeout=120)
        seconds = time.perf_counter() - start
        if stop.reason != "hit" or stop.hit is None:
            console.print(f"no culprit: {stop.reason}, {stop.detail}")
            return False
        hit = stop.hit
        rightful = culprit.seen - 1
        console.print(
            f"{rightful:,} rightful writes passed by in {seconds:.2f} s; then:\n", highlight=False
        )
        console.print(f"  [bold]{hit.location.function}[/] wrote queue.tail", highlight=False)
        for name, value in (
            ("where", f"{hit.location.symbolic} ({hit.location.file}:{hit.location.line})"),
            ("pc", f"{hit.pc:#x}"),
            ("address", f"{hit.address:#x}, {hit.size} bytes"),
            ("old value", str(hit.old)),
            ("new value", f"{hit.new} (queue.size is {size})"),
            ("through", argument(guest, hit)),
        ):
            console.print(f"    {name:9} [bold]{value}[/]", highlight=False)
        console.print()
        source(console, hit.location)
        console.print("\n  called by", highlight=False)
        for frame in hit.backtrace()[1:]:
            place = frame.location
            console.print(f"    {place.function} ({place.file}:{place.line})", highlight=False)
    return True


def main() -> int:
    console = Console()
    if not console.is_terminal:
        console = Console(width=96)
    try:
        run_alone(console)
        console.print()
        found = hunt(console)
    except guestdbg.GuestdbgError as error:
        console.print(f"demo: {error}", highlight=False)
        return 1
    console.print()
    if found:
        console.print("The same from the command line:\n", highlight=False)
        console.print(
            "  .venv/bin/guestdbg run examples/queue.elf --backtrace --count 1 \\\n"
            "      --watch 'queue.tail if new != (old + 1) % queue.size'",
            highlight=False,
        )
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
