"""The lab: boots it, runs commands in it, ends it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from guestdbg.lab import cache
from guestdbg.lab.errors import CommandTimeout, LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.image import initramfs
from guestdbg.lab.inside.frames import (
    FILE,
    FILE_DATA,
    FILE_END,
    HELLO,
    POWER_OFF,
    RUN,
    FrameError,
    frame,
    frame_json,
    pieces,
)
from guestdbg.lab.machine.channel import Channel, ChannelClosed, ReceiveTimeout
from guestdbg.lab.machine.guard import Guard
from guestdbg.lab.machine.held_signals import held_signals
from guestdbg.lab.machine.qemu import MachineOptions, find, processor, start
from guestdbg.lab.machine.remote_command import RemoteCommand
from guestdbg.lab.machine.upload import read_upload

if TYPE_CHECKING:
    from guestdbg.lab.machine.forward import Forward
    from guestdbg.lab.machine.remote_command import Live, Result
    from guestdbg.lab.machine.upload import Files

#: The directory in the lab where commands run by default.
HOME = "/tmp"
# Seconds that a killed command has to end, and the machine to power off.
_GRACE = 20.0
_POWER_OFF = 5.0


def prepare(
    root: Path | None = None, suite: str = packages.SUITE, qemu: str | Path | None = None
) -> None:
    """Downloads and builds what the lab is made of, so that later no network is needed.

    ``qemu`` is the QEMU that will run it (see ``Lab``). Raises LabError if that fails, or if
    there is no QEMU.
    """
    find(qemu)
    initramfs.base(root or cache.default_root(), suite)


class Lab:
    """A real arm64 KVM: Debian's arm64 kernel in a QEMU that emulates EL2.

    >>> with Lab(cpu="nvhe") as lab:
    ...     result = lab.run(["guestdbg", "caps"], timeout=60)

    Args:
        cpu: "nvhe" (Cortex-A57; A72 for Linux 6.14 and later), "vhe" (the newest processor that
            QEMU has), or QEMU's name of one.
        smp: the number of processors.
        memory: MiB.
        gic: the version of the interrupt controller, 2 or 3.
        suite: the Debian release of kernel and Python.
        root: the cache (default: see ``cache.default_root``). The first use downloads about 35 MB
            into it; later ones need no network.
        boot_timeout: seconds that the machine may take to come up.
        layers: cpio archives whose files replace or extend those of the lab.
        append: arguments for the kernel, after the lab's own.
        machine: QEMU's properties of the machine, after the lab's own: "secure=on,mte=on".
        qemu: the QEMU to run, a path or a name (default: qemu-system-aarch64).

    Raises LabError if an option is not possible. ``boot`` raises it if there is no QEMU, if the
    first use has no network, or if the machine does not come up in time.
    """

    def __init__(
        self,
        *,
        cpu: str = "nvhe",
        smp: int = 1,
        memory: int = 1024,
        gic: int = 3,
        suite: str = packages.SUITE,
        root: Path | None = None,
        boot_timeout: float = 180,
        layers: Sequence[Path] = (),
        append: str = "",
        machine: str = "",
        qemu: str | Path | None = None,
    ) -> None:
        self.machine = MachineOptions(
            cpu=cpu,
            smp=smp,
            memory=memory,
            gic=gic,
            append=append,
            machine=machine,
            qemu=qemu,
        )
        self._suite = suite
        self._root = root
        self._boot_timeout = boot_timeout
        self._layers = tuple(layers)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._guard: Guard | None = None
        #: The lab's description: "kernel" (its release), "machine", "python" and "kvm", and the
        #: "cpu" that QEMU emulates, with QEMU's name.
        self.description: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.boot()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether the machine is up, so that commands can be run."""
        return self._channel is not None

    @property
    def console(self) -> str:
        """The text on the kernel's console, until the lab is closed."""
        if self._directory is None:
            return ""
        with contextlib.suppress(OSError):
            return Path(self._directory.name, "console").read_text("utf-8", "replace")
        return ""

    def boot(self) -> None:
        """Starts the machine and waits until it accepts commands. Does nothing if it is up."""
        if self.running:
            return
        self.close()
        program = find(self.machine.qemu)
        root = self._root or cache.default_root()
        base = initramfs.base(root, self._suite)
        package = initramfs.package(root, base.compiler)
        self._directory = _temporary()
        try:
            directory = Path(self._directory.name)
            self._guard = Guard(directory)
            initrd = directory / "initrd"
            _join(initrd, base.archive, package, *self._layers)
            with held_signals():
                self._process, sock = start(
                    program, self.machine, base.release, base.kernel, initrd, directory / "console"
                )
                self._guard.kill_on_exit(self._process.pid)
            self._channel = Channel(sock)
            cpu = processor(self.machine.cpu, base.release)
            self.description = {**self._greeting(), "cpu": cpu}
            initrd.unlink()
        except BaseException:
            self.close(at_once=True)
            raise
        if not self.description["kvm"]:
            lines = self.console.splitlines()
            self.close(at_once=True)
            about = "\n".join(line for line in lines if re.search("kvm|hyp|EL2", line, re.I))
            raise LabError(f"the lab's machine came up without KVM:\n{_tail(about)}")

    def run(
        self,
        argv: Sequence[str],
        *,
        files: Files = (),
        results: Sequence[str] = (),
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str = HOME,
        timeout: float | None = 600,
        live: Live | None = None,
        forwards: Sequence[Forward] = (),
    ) -> Result:
        """Runs a command and waits for its end.

        Args:
            argv: the program and its arguments.
            files: copied into the lab first, relative to ``cwd``; see ``Files``.
            results: paths or glob patterns, relative to ``cwd``, of files to bring back. A pattern
                that matches no file adds nothing to ``Result.files``.
            stdin: the command's input; with ``live``, its descriptor is used instead.
            env: environment variables, added to the lab's own.
            cwd: the command's directory in the lab.
            timeout: seconds; None: without limit.
            live: passes input and output on while the command runs.
            forwards: ports of the host that lead to the command's servers.

        Raises CommandTimeout if the command takes longer than ``timeout``, and LabError if it
        cannot be started or if the machine ends before it does.
        """
        channel = self._running_channel()
        if not argv:
            raise LabError("no command to run")
        if isinstance(argv, str):
            raise TypeError("argv is a sequence of words, not one string")
        for file in read_upload(files, cwd):
            channel.send(frame_json(FILE, {"path": file.path, "mode": file.mode}))
            for piece in pieces(FILE_DATA, file.data):
                channel.send(piece)
            channel.send(frame(FILE_END))
        request = {
            "argv": list(argv),
            "env": dict(env or {}),
            "cwd": cwd,
            "results": list(results),
            "terminal": live.terminal if live else None,
        }
        channel.send(frame_json(RUN, request))
        return self._follow(RemoteCommand(channel, stdin, live, tuple(forwards)), argv[0], timeout)

    def _follow(self, exchange: RemoteCommand, name: str, timeout: float | None) -> Result:
        try:
            return exchange.follow(None if timeout is None else time.monotonic() + timeout)
        except LabError:
            raise
        except (ChannelClosed, FrameError) as error:
            raise self._died(f"while {name} ran", error) from error
        except ReceiveTimeout:
            self._settle(exchange)
            raise CommandTimeout(
                f"{name} did not end within {timeout:g} seconds and was killed",
                bytes(exchange.stdout),
                bytes(exchange.stderr),
            ) from None
        except BaseException:
            self._settle(exchange)
            raise

    def _settle(self, exchange: RemoteCommand) -> None:
        """Kills a command so that another can be run. Ends the machine if that does not work."""
        try:
            exchange.kill(_GRACE)
        except (ReceiveTimeout, ChannelClosed, FrameError, LabError):
            self.close(at_once=True)

    def _greeting(self) -> dict[str, Any]:
        assert self._channel is not None
        try:
            arrived, _ = self._channel.receive(time.monotonic() + self._boot_timeout)
            kind, payload = arrived[0]
            if kind != HELLO:
                raise FrameError(f"a frame of kind {kind} instead of the greeting")
        except ReceiveTimeout:
            raise LabError(
                f"the lab's machine did not come up within {self._boot_timeout:g} seconds:\n"
                f"{_tail(self.console)}"
            ) from None
        except (ChannelClosed, FrameError) as error:
            raise self._died("before it came up", error) from error
        description: dict[str, Any] = json.loads(payload)
        return description

    def _died(self, when: str, error: Exception) -> LabError:
        """Ends the machine. Returns the error to raise, with the end of its console."""
        # QEMU may write its own last message after it has closed its end of the channel.
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2)
        console = self.console
        self.close(at_once=True)
        ended = isinstance(error, ChannelClosed)
        what = "ended" if ended else f"sent invalid data ({error})"
        panic = re.search(r"Kernel panic - not syncing: (.*)", console)
        cause = f"its kernel panicked ({panic[1].strip()})" if panic else ""
        return LabError(f"the lab's machine {what} {when}: {cause}\n{_tail(console)}")

    def close(self, *, at_once: bool = False) -> None:
        """Ends the machine: powers it off, or with ``at_once`` kills it. It can be booted again."""
        channel, self._channel = self._channel, None
        process, self._process = self._process, None
        if channel is not None:
            if not at_once:
                with contextlib.suppress(ReceiveTimeout, ChannelClosed, FrameError):
                    channel.send(frame(POWER_OFF))
                    channel.drain(time.monotonic() + _POWER_OFF)
            channel.close()
        if process is not None:
            try:
                process.wait(timeout=0 if at_once else _POWER_OFF)
            except subprocess.TimeoutExpired:
                # QEMU leads its process group: a wrapper script may have started others.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if self._guard is not None:
                self._guard.kill_on_exit(None)
        directory, self._directory = self._directory, None
        if directory is not None:
            directory.cleanup()
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.dismiss()

    def _running_channel(self) -> Channel:
        if self._channel is None:
            raise LabError("the lab is not running; boot() it, or use it in a `with` statement")
        return self._channel


def _temporary() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="guestdbg-lab-")
    except OSError as error:
        reason = error.strerror or error
        raise LabError(f"no temporary directory can be made ({reason}); set TMPDIR") from error


def _join(to: Path, *parts: Path) -> None:
    """Writes files one after the other into one. Raises LabError if there is no room for it."""
    try:
        with to.open("wb") as out:
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, out, 1 << 20)
    except OSError as error:
        size = sum(part.stat().st_size for part in parts) >> 20
        raise LabError(
            f"{to} ({size} MiB) cannot be written: {error.strerror}; "
            "set TMPDIR to a directory with more room"
        ) from error


def _tail(text: str, lines: int = 15) -> str:
    """The last lines of a console, for an error. A panicking kernel's stack dump is left out."""
    text = text.partition("Kernel panic")[0] or text
    return "\n".join(f"    {line}" for line in text.split("\n")[-lines:] if line.strip())
