"""A bug hunt: what overwrites the tail of the queue? `make demo` runs this.

The guest (examples/queue, bare metal) keeps jobs in a queue. At the end it has done more jobs than
it made, and its console does not say why. A hardware watchpoint on one member of a structure does.
So does the past of the first run, which had none.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax

import guestdbg
from guestdbg.debugger import Location
from guestdbg.history import HistoryUnavailable

EXAMPLES = Path(__file__).resolve().parent
GUEST = EXAMPLES / "queue.elf"


def print_source(console: Console, location: Location, around: int = 3) -> None:
    """Print the source lines around a location, if the source file is here."""
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
                word_wrap=True,
            )
        )


def argument(guest: guestdbg.Guest, hit: guestdbg.Hit) -> str:
    """The first argument (X0) of the function that was hit, as an element of source_stats[]."""
    array = guest["source_stats"]
    element = array.type_.type
    index = (hit.vcpu.x[0] - array.address_) // element.size
    return f"stats = &source_stats[{index}], but the array has {array.type_.length} elements"


def load(show: Callable[[bytes], object]) -> guestdbg.Guest:
    """The guest, with a history where it can have one: not on real hardware."""
    try:
        return guestdbg.load(GUEST, console=show, history=True)
    except HistoryUnavailable:
        return guestdbg.load(GUEST, console=show)


def run_alone(console: Console, guest: guestdbg.Guest) -> None:
    """Run the guest by itself: it reports that something is wrong, but not what."""
    console.rule("the guest alone", align="left")
    stop = guest.run(timeout=120)
    console.out(f"({stop.detail})", highlight=False)


def hunt(console: Console) -> bool:
    """Run the guest with a watchpoint; returns whether the wrong write was found."""
    console.rule("the guest with a hardware watchpoint on queue.tail", align="left")
    with guestdbg.load(GUEST, console=None) as guest:
        size = guest["queue.size"].value_()

        # A push moves the tail to the next element. Any other new value is the bug.
        @guest.watch("queue.tail", access="write", when=lambda hit: hit.new != (hit.old + 1) % size)
        def wrong_write(hit: guestdbg.Hit) -> object:
            return guestdbg.STOP

        start = time.perf_counter()
        stop = guest.run(timeout=120)
        seconds = time.perf_counter() - start
        if stop.reason != "hit" or stop.hit is None:
            console.print(f"no wrong write: {stop.reason}, {stop.detail}")
            return False
        hit = stop.hit
        correct = wrong_write.seen - 1
        console.print(
            f"{correct:,} correct writes in {seconds:.2f} s, then a wrong one:\n", highlight=False
        )
        console.print(f"  [bold]{hit.location.function}[/] wrote queue.tail", highlight=False)
        for name, value in (
            ("where", f"{hit.location.symbolic} ({hit.location.file}:{hit.location.line})"),
            ("pc", f"{hit.pc:#x}"),
            ("address", f"{hit.address:#x}, {hit.size} bytes"),
            ("old value", str(hit.old)),
            ("new value", f"{hit.new} (queue.size is {size})"),
            ("argument", argument(guest, hit)),
        ):
            console.print(f"    {name:9} [bold]{value}[/]", highlight=False)
        console.print()
        print_source(console, hit.location)
        console.print("\n  called by", highlight=False)
        for frame in hit.backtrace()[1:]:
            place = frame.location
            console.print(f"    {place.function} ({place.file}:{place.line})", highlight=False)
    return True


def ask_the_past(console: Console, guest: guestdbg.Guest) -> bool:
    """Who wrote it last, in the run that is over? Returns whether the wrong write was found."""
    console.rule("the first run: it had no watchpoint, but its past can be asked", align="left")
    wrong = "new != (old + 1) % queue.size"
    found = True
    for question, when in (
        ('last_write("queue.tail")', None),
        (f'last_write("queue.tail", when="{wrong}")', wrong),
    ):
        start = time.perf_counter()
        hit = guest.history.last_write("queue.tail", when=when)
        seconds = time.perf_counter() - start
        console.print(f"guest.history.{question}", highlight=False)
        if hit is None or hit.time is None:
            console.print("    none")
            found = False
            continue
        console.print(
            f"    [bold]{hit.location}[/]  {hit.old} -> {hit.new}\n"
            f"    after {hit.time.instructions:,} instructions, found in {seconds:.2f} s",
            highlight=False,
        )
    return found


def main() -> int:
    console = Console()
    if not console.is_terminal:
        console = Console(width=80)

    def show(data: bytes) -> None:
        console.out(data.decode(errors="replace"), end="", highlight=False)

    try:
        with load(show) as guest:
            run_alone(console, guest)
            console.print()
            found = hunt(console)
            if guest.has_history:
                console.print()
                found = ask_the_past(console, guest) and found
    except guestdbg.GuestdbgError as error:
        console.print(f"demo: {error}", highlight=False)
        return 1
    console.print()
    if found:
        console.print("The same from the command line:\n", highlight=False)
        console.print(
            "  .venv/bin/guestdbg run examples/queue.elf --backtrace --count 1 \\\n"
            "      --watch 'queue.tail if new != (old + 1) % queue.size'\n"
            "  .venv/bin/guestdbg run examples/queue.elf --last-write queue.tail",
            highlight=False,
        )
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
