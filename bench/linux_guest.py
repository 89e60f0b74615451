"""Debian's Linux with a busybox shell, on guestdbg and on QEMU: `guestdbg.lab.guests` has it.

A boot is timed from the start of the process to the end, by power-off: the shell's prompt is
answered with `poweroff -f`. What is timed at the prompt is done in one guest, which is booted once.
"""

import functools
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import guestdbg
from bench import process, qemu
from bench.measurement import Unavailable
from guestdbg.debugger import Guest
from guestdbg.kvm import SupportsInstructionCount
from guestdbg.lab import LabError
from guestdbg.lab.guests.linux import LinuxGuest, linux_guest

PROMPT = b"guest# "
BOOTARGS = "console=ttyAMA0 quiet"
MEMORY = "256M"
LIMIT_SECONDS = 240
POWER_OFF = b"poweroff -f\n"


#: A compression, a hash and a product of matrices, of programs that busybox has.
PROGRAMS = {
    "compression": b"dd if=/bin/busybox bs=4k count=64 2>/dev/null | gzip -9 | wc -c",
    "hash": b"cat /bin/busybox /bin/busybox | sha256sum",
    "matrix": b"awk 'BEGIN { n = 24; for (i = 0; i < n; i++) for (j = 0; j < n; j++) "
    b"{ a[i, j] = i + j; b[i, j] = i - j } for (i = 0; i < n; i++) for (j = 0; j < n; j++) "
    b"{ s = 0; for (k = 0; k < n; k++) s += a[i, k] * b[k, j]; t += s } print t }'",
}


@functools.cache
def files() -> LinuxGuest:
    """The kernel and the initial RAM file system. Raises Unavailable if they cannot be had."""
    try:
        return linux_guest()
    except LabError as error:
        raise Unavailable(f"no Linux guest: {error}") from error


def guestdbg_command(*, vcpus: int = 1, history: bool = False) -> list[str]:
    """The command that boots it on guestdbg's software provider."""
    found = files()
    words = ["run", str(found.kernel), "--initrd", str(found.initrd), "--bootargs", BOOTARGS]
    words += ["--memory", MEMORY, "--vcpus", str(vcpus), "--provider", "soft"]
    return [*process.GUESTDBG, *words, *(["--history"] if history else [])]


def qemu_command(*, vcpus: int = 1, bootargs: str = BOOTARGS) -> list[str]:
    """The command that boots it on QEMU's TCG."""
    found = files()
    words = ["-M", "virt,gic-version=3", "-cpu", "cortex-a57", "-m", MEMORY, "-smp", str(vcpus)]
    words += ["-nographic", "-net", "none", "-no-reboot", "-kernel", str(found.kernel)]
    words += ["-initrd", str(found.initrd), "-append", bootargs]
    return [qemu.program(qemu.QEMU), *words]


class Session:
    """A process that boots the guest on stdin and stdout."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], name: str) -> None:
        self._stdin, self._stdout, self._name = stdin, stdout, name
        self._start = time.perf_counter()
        self.output = b""

    def type(self, line: bytes) -> None:
        """Type a line."""
        self._stdin.write(line)
        self._stdin.flush()

    def read_to(self, end: bytes) -> float:
        """Read until the output ends with this; when that was, by time.perf_counter()."""
        while not self.output.endswith(end):
            if not self._read():
                raise RuntimeError(f"{self._name} ended too early:\n{self.output[-2000:]!r}")
        return time.perf_counter()

    def read_to_end(self) -> float:
        """Read until the process has ended; the seconds since its start."""
        while self._read():
            pass
        return time.perf_counter() - self._start

    def _read(self) -> bool:
        if time.perf_counter() - self._start > LIMIT_SECONDS:
            raise RuntimeError(f"{self._name}: nothing after {LIMIT_SECONDS} s")
        data = os.read(self._stdout.fileno(), 4096)
        # Busybox asks the terminal where its cursor is.
        self.output = (self.output + data).replace(b"\x1b[6n", b"")
        return bool(data)


@contextmanager
def session(command: Sequence[str]) -> Iterator[Session]:
    """Start a command; it is killed at the end."""
    started = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=process.environment(),
    )
    assert started.stdin is not None
    assert started.stdout is not None
    try:
        yield Session(started.stdin, started.stdout, command[0])
    finally:
        started.kill()
        started.communicate()


def boot_seconds(command: Sequence[str]) -> float:
    """From the start of the process to its end, after power-off at the prompt."""
    with session(command) as guest:
        guest.read_to(PROMPT)
        guest.type(POWER_OFF)
        seconds = guest.read_to_end()
    if b"reboot: Power down" not in guest.output and b"Oops" in guest.output:
        raise RuntimeError(f"no power-off:\n{guest.output[-2000:]!r}")
    return seconds


def boot_cpu_seconds(command: Sequence[str]) -> float:
    """The same in seconds of the host's processors, which other load changes little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    boot_seconds(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@functools.cache
def _addresses() -> list[str]:
    """Of the functions for `linux_armed`. Without a seed the kernel runs where it is linked."""
    names = ("kernel_init", "panic", "oops_enter", "emergency_restart")
    guest = guestdbg.load(files().kernel, memory=MEMORY, provider="soft")
    try:
        return [hex(guest.symbol(name).address) for name in names]
    finally:
        guest.close()


def _boot_words() -> list[str]:
    found = files()
    words = [str(found.kernel), str(found.initrd), BOOTARGS, MEMORY]
    return [*words, PROMPT.decode(), POWER_OFF.decode()]


def armed_command() -> list[str]:
    """The command that boots it on guestdbg with points armed."""
    return [sys.executable, "-m", "bench.linux_armed", *_boot_words(), *_addresses()]


def memory_command() -> list[str]:
    """The command that boots it on guestdbg and prints how much memory that took."""
    return [sys.executable, "-m", "bench.linux_memory", *_boot_words()]


# ---- at the prompt -------------------------------------------------------------------------------


class Prompt:
    """A guest of guestdbg's that has booted to its prompt."""

    def __init__(self, *, history: bool = False) -> None:
        found = files()
        self.output = bytearray()
        self.guest: Guest = guestdbg.load(
            found.kernel,
            initrd=found.initrd,
            bootargs=BOOTARGS,
            memory=MEMORY,
            provider="soft",
            console=self._wrote,
            history=history,
        )
        self.run_to_prompt()

    def _wrote(self, data: bytes) -> None:
        self.output += data
        if PROMPT in self.output:
            self.guest.interrupt()

    def instructions(self) -> int:
        """How many instructions the guest has retired."""
        counted = [cpu.vcpu for cpu in self.guest.vcpus]
        return sum(v.instructions for v in counted if isinstance(v, SupportsInstructionCount))

    def run_to_prompt(self) -> None:
        """Run until the next prompt."""
        stop = self.guest.run(timeout=LIMIT_SECONDS)
        if stop.reason != "interrupt":
            raise RuntimeError(f"{stop}:\n{bytes(self.output[-2000:])!r}")

    def command(self, line: bytes) -> tuple[float, int]:
        """Run a command; the seconds and the instructions that it takes."""
        self.output.clear()
        before, start = self.instructions(), time.perf_counter()
        self.guest.board.console.feed(line + b"\n")
        self.run_to_prompt()
        return time.perf_counter() - start, self.instructions() - before


@functools.cache
def prompt() -> Prompt:
    """The guest at its prompt, booted once."""
    return Prompt()


@functools.cache
def instructions_of(program: str) -> int:
    """How many instructions one of PROGRAMS takes, with the kernel's and the shell's."""
    return prompt().command(PROGRAMS[program])[1]
