"""The example guests, and how to run them to their end, on guestdbg and on QEMU."""

import os
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from guestdbg.kvm import Exit, ExitIntr, SupportsInstructionLimit, open_kvm
from guestdbg.machine import Board, Console, GicVersion, Kind, load

EXAMPLES = Path(__file__).parents[2] / "examples"
QEMU_BOARD = ("-M", "virt", "-cpu", "cortex-a57", "-m", "128M", "-nographic", "-net", "none")
U_BOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
EDK2 = Path("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")

# The exact output of each guest that ends, on any correct machine.
OUTPUT = {
    "hello": b"Hello from EL1\n",
    "loop": b"",
    "counter": b"counter: 1000\nfactorial of 10: 3628800\npair: 1801\ntable: 963\n",
    "queue": (
        b"queue: start\n"
        b"jobs done: 5000\njobs done: 10000\njobs done: 15000\njobs done: 20000\n"
        b"jobs made: 20000\njobs done: 20062\nlongest queue: 31\nqueue corrupt\n"
    ),
    "fault": (
        b"reading nothing\n  exception class 0x25, status 0x10, at 0xb000000\n"
        b"writing nothing\n  exception class 0x25, status 0x10, at 0xb000000\n"
        b"jumping into nothing\n  exception class 0x21, status 0x10, at 0xb000000\n"
        b"faults: 3\n"
    ),
    "selfdebug": (
        b"breakpoints: 6\nwatchpoints: 4\n"
        b"register keeps its value: yes\nbreakpoint: yes\n"
        b"no hit on a load, nor beside: yes\nwatchpoint on a store: yes\n"
        b"the store is done after it: yes\nwatchpoint on a load: yes\n"
        b"no hit on bytes not selected: yes\nwatchpoint on selected bytes: yes\n"
        b"BRK: yes\nsoftware step: yes\nPSTATE.D masks: yes\nselfdebug: all well\n"
    ),
    "secure-boot": b"rejected: the signature is wrong\n",
    "secure-boot-hardened": b"rejected: the signature is wrong\n",
    "pid": (
        b"degrees: 65\ndegrees: 64\ndegrees: 65\ndegrees: 65\ndegrees: 65\ndegrees: 21\n"
        b"degrees: 20\ndegrees: 20\npid: cold\n"
    ),
    "packet": b"outcome: 0\npacket of sensor: 800\n",
    # Without semihosting, which only a debugger provides.
    "semihosting": (b"unexpected exception: ESR_EL1 0x2000000 ELR_EL1 0x40201358 FAR_EL1 0x0\n"),
    "smp": b"processors: 1\ncounter: 1000\nsmp: all well\n",
    "mmu": (
        b"mmu: on, running at the upper half\nEL0 says 1496\n"
        b"exception class 0x24, status 0xd, address 0xffffff8040200000\n"
        b"exception class 0x24, status 0x7, address 0x402000\n"
        b"system calls: 2\nfaults at EL0: 2\ntotal: 1496\n"
    ),
}
ENDLESS = ("flood", "lost", "loop-endless", "spin")


def guest(name: str) -> Path:
    """The ELF file of an example."""
    return EXAMPLES / f"{name}.elf"


def qemu() -> str:
    """The path of QEMU; skips the test if it is not installed."""
    found = shutil.which("qemu-system-aarch64")
    if found is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    return found


def run_on_qemu(
    *arguments: str, dialogue: Sequence[tuple[bytes, bytes]] = (), timeout: float = 60
) -> bytes:
    """The console of QEMU's virt board until it powers off; ``dialogue`` as in `run_on_soft`."""
    output, waiting, seen = bytearray(), deque(dialogue), 0
    process = subprocess.Popen(
        [qemu(), *QEMU_BOARD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    try:
        while piece := os.read(process.stdout.fileno(), 4096):
            output += piece
            while waiting and (at := output.find(waiting[0][0], seen)) >= 0:
                expected, reply = waiting.popleft()
                seen = at + len(expected)
                process.stdin.write(reply)
                process.stdin.flush()
        assert process.wait() == 0, process.stderr.read()
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
    return bytes(output)


def run_on_soft(
    path: Path,
    *,
    kind: Kind = "auto",
    max_instructions: int | None = None,
    dialogue: tuple[tuple[bytes, bytes], ...] = (),
    prepare: Callable[[Board], object] = lambda board: None,
    inspect: Callable[[Board], object] = lambda board: None,
    drives: Sequence[str] = (),
    gic: GicVersion = "auto",
) -> tuple[Exit, bytes]:
    """The exit that ends a guest on the software provider, and its console.

    ``dialogue``: (text to wait for, what to type then). ``max_instructions`` ends it with an
    ``ExitIntr``. ``prepare`` gets the board once it is loaded, ``inspect`` once it has ended.
    """
    output = bytearray()
    with open_kvm("soft") as kvm:
        console = Console(output.extend)
        for expected, reply in dialogue:
            console.answer(expected, reply)
        with Board(kvm, console=console, drives=drives, gic=gic) as board:
            load(board, path, kind=kind)
            prepare(board)
            vcpu = board.vcpus[0]
            if max_instructions is not None:
                assert isinstance(vcpu, SupportsInstructionLimit)
                vcpu.max_instructions = max_instructions
            exit_ = board.run(vcpu)
            while isinstance(exit_, ExitIntr) and max_instructions is None:
                exit_ = board.run(vcpu)
            inspect(board)
            return exit_, bytes(output)
