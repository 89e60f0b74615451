"""U-Boot with breakpoints and watchpoints: a stripped firmware that relocates itself at boot.

All breakpoint and watchpoint registers of the processor are in use. U-Boot boots to its prompt,
answers `version`, shows memory with `md`, and does not notice. Run it with Debian's u-boot-qemu:

    python examples/uboot.py [/usr/lib/u-boot/qemu_arm64/u-boot.bin]

There are no symbols. So a first run finds the address to which U-Boot relocates itself, and the
functions of its commands, from U-Boot's table of names and function addresses. Guests are
deterministic here, so the addresses are the same in the second run, with the breakpoints.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import guestdbg
from guestdbg.machine import Console

U_BOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
RAM = 0x4000_0000
MEMORY_SIZE = 128 << 20
SHOWN = 0x4100_0000  # the address that `md` shows

PROMPT = b"\n=> "
KEY = (b"Hit any key to stop autoboot", b"\r")
COMMANDS = (
    b"version",
    f"mw.l {SHOWN:#x} 0x600dcafe".encode(),
    f"md.l {SHOWN:#x} 4".encode(),
    b"poweroff",
)

# struct cmd_tbl: the name, the maximum of arguments, then two functions; the second is the command.
COMMAND_FUNCTION = 24


@dataclass(frozen=True)
class Map:
    """Addresses in the guest, which the first run finds."""

    start: int  # the target of the branch at the reset vector
    moved_to: int  # the address to which U-Boot copies itself
    version_text: int  # its version string, in the copy
    commands: dict[str, int]  # the functions of commands, in the copy


@dataclass
class Seen:
    """The hits of one breakpoint or watchpoint: their number, and the first one."""

    name: str
    hits: int = 0
    pc: int = 0
    text: str = ""

    def note(self, hit: guestdbg.Hit) -> None:
        self.hits += 1
        if self.hits > 1:
            return
        self.pc = hit.pc
        if hit.access == "execute":
            return
        self.text = f"{hit.access} of {hit.access_size} bytes at {hit.access_address:#x}"
        if hit.access == "write":
            self.text += f", {number(hit.old)} -> {number(hit.new)}"


def load(firmware: Path, console: Console) -> guestdbg.Guest:
    return guestdbg.load(firmware, kind="firmware", memory=MEMORY_SIZE, console=console)


def terminal(sink: object, commands: Sequence[bytes]) -> Console:
    """A console that stops the countdown and types ``commands``, one at each prompt."""
    console = Console(sink)  # type: ignore[arg-type]  # a callable, a file, or None
    console.answer(*KEY)
    for command in commands:
        console.answer(PROMPT, command + b"\r")
    return console


def find_the_way(firmware: Path, names: Sequence[str]) -> Map:
    """Boot once with nothing armed, and search the memory afterwards."""
    flash = firmware.read_bytes()
    with load(firmware, terminal(None, [b"poweroff"])) as guest:
        stop = guest.run(timeout=120)
        if stop.reason != "exit":
            raise SystemExit(f"{firmware}: it did not reach its prompt: {stop}")
        ram = guest.board.read_phys(RAM, MEMORY_SIZE)

    version = flash.index(b"U-Boot 20")
    # The copy is at the upper end of memory. The version text has the same offset in the copy, and
    # U-Boot relocates itself by whole pages.
    text = flash[version : version + 32]
    at = ram.rindex(text)
    while (at - version) % 4096:
        at = ram.rindex(text, 0, at)
    moved_to = RAM + at - version

    branch = int.from_bytes(flash[:4], "little")  # B: imm26, in words, relative to this instruction
    return Map(
        start=(branch & 0x3FFFFFF) * 4,
        moved_to=moved_to,
        version_text=moved_to + version,
        commands={name: command(flash, ram, moved_to, name) for name in names},
    )


def command(flash: bytes, ram: bytes, moved_to: int, name: str) -> int:
    """The function of a command, from U-Boot's table: an entry begins with a pointer to a name."""
    text = name.encode() + b"\0"  # linkers may place it at the end of a longer text
    copy = range(moved_to, moved_to + len(flash))
    at = flash.find(text)
    while at >= 0:
        pointer = (moved_to + at).to_bytes(8, "little")
        entry = ram.find(pointer, moved_to - RAM)
        while entry >= 0:
            function = int.from_bytes(ram[entry + COMMAND_FUNCTION :][:8], "little")
            if entry % 8 == 0 and function in copy and function % 4 == 0:
                return function
            entry = ram.find(pointer, entry + 1)
        at = flash.find(text, at + 1)
    raise SystemExit(f"no command {name!r} in U-Boot's table")


def number(value: int | bytes | None) -> str:
    """A watched value as text: a number in hexadecimal, or its bytes."""
    if isinstance(value, int):
        return f"{value:#x}"
    return value.hex(" ") if value is not None else "?"


def watch_it(firmware: Path, way: Map, sink: object) -> tuple[guestdbg.Stop, list[Seen]]:
    """Run with 6 breakpoints and 4 watchpoints, armed before the first instruction."""
    seen: list[Seen] = []

    def note(name: str) -> Callable[[guestdbg.Hit], None]:
        seen.append(Seen(name))
        return seen[-1].note

    with load(firmware, terminal(sink, COMMANDS)) as guest:
        guest.break_(0, kind="hardware")(note("reset vector"))
        guest.break_(way.start, kind="hardware")(note("start"))
        for name, function in way.commands.items():
            guest.break_(function, kind="hardware")(note(f"do_{name}"))
        # The first doubleword of the copy: which code copies U-Boot?
        guest.watch(way.moved_to, 8)(note("copy"))
        guest.watch(RAM, 8, access="read")(note("device tree"))
        # Up to the end of the doubleword, so that one register is enough.
        length = 8 - way.version_text % 8
        guest.watch(way.version_text, length, access="read")(note("version text"))
        guest.watch(SHOWN, 4, access="any")(note("shown memory"))
        stop = guest.run(timeout=300)
    return stop, seen


def main(arguments: Sequence[str]) -> int:
    firmware = Path(arguments[0]) if arguments else U_BOOT
    if not firmware.is_file():
        print(f"no {firmware}: install Debian's u-boot-qemu, or give a u-boot.bin for QEMU's virt")
        return 1
    way = find_the_way(firmware, ["version", "md", "mw", "bdinfo"])
    print(f"U-Boot relocates itself to {way.moved_to:#x}. Its commands are there at:")
    for name, function in way.commands.items():
        print(f"  {name:8} {function:#x}")
    print("\nThe same run with 6 breakpoints and 4 watchpoints:", flush=True)
    stop, seen = watch_it(firmware, way, sys.stdout.buffer)
    print("\n\nThe number of hits of each, and the first hit:")
    for one in seen:
        where = f"pc {one.pc:#x}  {one.text}" if one.hits else ""
        print(f"  {one.name:12} {one.hits:5}  {where}".rstrip())
    print(f"end: {stop.reason}, {stop.detail}")
    return 0 if stop.reason == "exit" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
