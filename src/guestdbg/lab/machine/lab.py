"""A lab that runs: boots it, runs commands in it, ends it."""

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
from guestdbg.lab.machine import qemu
from guestdbg.lab.machine.channel import Channel, ChannelClosed, ReceiveTimeout
from guestdbg.lab.machine.forward import Forward
from guestdbg.lab.machine.guard import Guard
from guestdbg.lab.machine.remote_command import Live, RemoteCommand, Result
from guestdbg.lab.machine.upload import Files, read_upload

#: Where commands run inside, unless told otherwise.
HOME = "/tmp"
# Seconds that a killed command, and the machine when switched off, have to go.
_GRACE = 20.0
_POWER_OFF = 5.0


def prepare(root: Path | None = None, suite: str = packages.SUITE) -> None:
    """Fetches and builds what the lab is made of, so that later no network is needed.

    Raises LabError if it cannot be had, or if QEMU is missing.
    """
    qemu.find()
    initramfs.base(root or cache.default_root(), suite)


class Lab:
    """A real arm64 KVM: Debian's arm64 kernel in a QEMU that emulates EL2.

    >>> with Lab(cpu="nvhe") as lab:
    ...     result = lab.run(["guestdbg", "caps"], timeout=60)

    ``cpu`` is "nvhe" (Cortex-A57), "vhe" (all that QEMU has) or a name of QEMU's; ``memory`` is
    MiB; ``gic`` 2 or 3. ``root`` is the cache (default: see ``cache.default_root``); the first
    use fetches about 35 MB into it, later ones need no network. ``layers`` are cpio archives whose
    files are put over the lab's own.

    Raises LabError where the lab cannot be had: no QEMU, no network for the first use, a
    machine that does not come up within ``boot_timeout`` seconds.
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
    ) -> None:
        self.machine = qemu.MachineOptions(cpu=cpu, smp=smp, memory=memory, gic=gic)
        self._suite = suite
        self._root = root
        self._boot_timeout = boot_timeout
        self._layers = tuple(layers)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._guard: Guard | None = None
        #: What the lab said of itself: "kernel", "machine", "python", "kvm".
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
        """Whether commands can be run."""
        return self._channel is not None

    @property
    def console(self) -> str:
        """What the kernel has said; kept until the lab is closed."""
        if self._directory is None:
            return ""
        with contextlib.suppress(OSError):
            return Path(self._directory.name, "console").read_text("utf-8", "replace")
        return ""

    def boot(self) -> None:
        """Starts the machine and waits until it takes commands; nothing if it runs already."""
        if self.running:
            return
        self.close()
        qemu.find()
        root = self._root or cache.default_root()
        base = initramfs.base(root, self._suite)
        package = initramfs.package(root, base.python)
        self._directory = _temporary()
        try:
            directory = Path(self._directory.name)
            self._guard = Guard(directory)
            initrd = directory / "initrd"
            _join(initrd, base.archive, package, *self._layers)
            self._process, sock = qemu.start(
                self.machine, base.kernel, initrd, directory / "console"
            )
            self._guard.kill_on_exit(self._process.pid)
            self._channel = Channel(sock)
            self.description = self._greeting()
            initrd.unlink()
        except BaseException:
            self.close(at_once=True)
            raise
        if not self.description["kvm"]:
            said = _tail(self.console)
            self.close(at_once=True)
            raise LabError(f"the lab's machine came up without a KVM:\n{said}")

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

        ``files`` are put there first (see ``Files``), relative to ``cwd``; ``results`` are paths
        or glob patterns, relative to ``cwd``, of files to bring back: a pattern that matches
        nothing is simply not in ``Result.files``. ``forwards`` lead to servers of the command's.

        Raises CommandTimeout if it takes longer than ``timeout`` seconds; LabError if it cannot
        be started, or if the machine dies under it.
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
        """Ends a command so that another can be run; ends the machine if that does not help."""
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
                raise FrameError(f"a frame of kind {kind} where a greeting was due")
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
        """Ends the machine; the error to raise, with the last that its kernel or QEMU said."""
        # QEMU's own last words come after its end of the line is closed.
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2)
        console = self.console
        self.close(at_once=True)
        what = "ended" if isinstance(error, ChannelClosed) else f"answered nonsense ({error})"
        panic = re.search(r"Kernel panic - not syncing: (.*)", console)
        why = f"its kernel panicked ({panic[1].strip()})" if panic else ""
        return LabError(f"the lab's machine {what} {when}: {why}\n{_tail(console)}")

    def close(self, *, at_once: bool = False) -> None:
        """Ends the machine, by switching it off or ``at_once``; it can be booted again."""
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
                process.kill()
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
    """Writes files one behind the other. Raises LabError where there is no room for it."""
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
    """The end of what was said, for an error; the stack of a panicking kernel tells nobody."""
    text = text.partition("Kernel panic")[0] or text
    return "\n".join(f"    {line}" for line in text.split("\n")[-lines:] if line.strip())
