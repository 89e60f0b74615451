"""The options of the commands that load a guest: how it is loaded, and on what board."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guestdbg.cli.provider_options import provider_options
from guestdbg.cli.running.option_types import number

if TYPE_CHECKING:
    from guestdbg.machine.interrupts import GicVersion
    from guestdbg.semihosting import Target

KINDS = ("auto", "elf", "raw", "image", "firmware")

#: The options, named as the arguments of ``guestdbg.load``.
_OPTIONS = (
    click.option(
        "--kind",
        type=click.Choice(KINDS),
        default="auto",
        show_default=True,
        help="Type of the guest's file. A firmware starts at address 0.",
    ),
    click.option("--address", metavar="N", type=number, help="Load address of a raw guest."),
    click.option(
        "--symbols",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="An ELF file with the symbols, for a guest that has none.",
    ),
    click.option(
        "--slide",
        metavar="N",
        type=number,
        default=0,
        help="Distance in bytes from the link address to where the guest moves itself.",
    ),
    click.option(
        "--vmlinux",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The vmlinux of a Linux kernel: symbols, lines and types, wherever the kernel is.",
    ),
    click.option(
        "--modules",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="The files of a Linux kernel's modules: lines and types, as they are loaded.",
    ),
    click.option(
        "--debug-dir",
        "debug_dirs",
        metavar="DIR",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Also search this directory for separate debug files. Can be repeated.",
    ),
    click.option(
        "--initrd",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The initial RAM file system of a kernel: a cpio archive, compressed or not.",
    ),
    click.option(
        "--memory",
        "-m",
        metavar="SIZE",
        default="128M",
        show_default=True,
        help="The guest's RAM: a number with K, M or G.",
    ),
    click.option(
        "--vcpus",
        "--smp",
        "vcpus",
        metavar="N",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Number of vCPUs.",
    ),
    click.option(
        "--bootargs",
        "--append",
        "bootargs",
        metavar="TEXT",
        default="",
        help="The kernel command line.",
    ),
    click.option(
        "--drive",
        "drives",
        metavar="FILE[,readonly][,overlay]",
        multiple=True,
        help="A disk: a raw image. overlay: what the guest writes is kept in memory only. "
        "Repeatable.",
    ),
    click.option(
        "--net",
        metavar="user[,forward=tcp:PORT:GUEST]",
        help="A network card, which reaches every service at 127.0.0.1 of this machine. forward: "
        "connections to PORT here go to port GUEST of the guest.",
    ),
    click.option(
        "--entropy", is_flag=True, help="A source of random numbers (virtio-rng), from --seed."
    ),
    click.option(
        "--gic",
        type=click.Choice(["auto", "2", "3", "none"]),
        default="auto",
        show_default=True,
        help="Version of the interrupt controller. auto: 3 if the provider has it, then 2.",
    ),
    click.option(
        "--clock",
        type=click.Choice(["virtual", "host"]),
        help="The time of the software KVM: it follows from the instructions, and waiting takes "
        "none (virtual, the default), or it is the host's.",
    ),
    click.option(
        "--seed",
        metavar="N",
        type=number,
        help="Give the guest random numbers that follow from N; a kernel uses them for KASLR.",
    ),
    click.option(
        "--on-panic",
        type=click.Choice(["stop", "continue"]),
        default="stop",
        show_default=True,
        help="Whether the panic of a Linux kernel ends the run.",
    ),
    click.option(
        "--overwatch",
        metavar="N",
        type=number,
        default=0,
        help="When there are too few registers, let each watch up to N bytes too many.",
    ),
    click.option(
        "--semihosting",
        is_flag=True,
        help="Provide semihosting (HLT #0xF000): console, exit status, time, files.",
    ),
    click.option(
        "--semihosting-dir",
        metavar="DIR",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="The directory of the guest's files. Without it, it cannot open any.",
    ),
    click.option(
        "--semihosting-read-only", is_flag=True, help="The guest may only read those files."
    ),
    click.option(
        "--semihosting-args", metavar="TEXT", default="", help="The guest's own command line."
    ),
    click.option(
        "--history",
        is_flag=True,
        help="Record the run, so that its past can be asked about (software KVM only).",
    ),
    click.option(
        "--history-memory",
        metavar="SIZE",
        help="What history may take of the host's memory; means --history. [default: a quarter]",
    ),
)


def _with_semihosting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make one argument, ``semihosting``, of those options."""

    @wraps(command)
    def wrapper(
        *args: Any,
        semihosting: bool,
        semihosting_dir: Path | None,
        semihosting_read_only: bool,
        semihosting_args: str,
        semihosting_target: Target = "native",
        **options: Any,
    ) -> Any:
        others = semihosting_dir or semihosting_read_only or semihosting_args
        if not semihosting:
            if others or semihosting_target != "native":
                raise click.UsageError("options of semihosting without --semihosting.")
            return command(*args, semihosting=False, **options)
        from guestdbg.semihosting import Semihosting, SemihostingError

        try:
            chosen = Semihosting(
                semihosting_dir,
                semihosting_read_only,
                semihosting_args,
                target=semihosting_target,
            )
        except SemihostingError as error:
            raise click.UsageError(str(error)) from error
        return command(*args, semihosting=chosen, **options)

    return wrapper


def _with_provider(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the options of the provider on as they are."""

    @wraps(command)
    def wrapper(*args: Any, kvm: dict[str, str], **options: Any) -> Any:
        return command(*args, **kvm, **options)

    return provider_options("What runs the guest: the software KVM, or the host kernel's.")(wrapper)


_GICS: dict[str, GicVersion] = {"auto": "auto", "2": 2, "3": 3, "none": None}


def _with_board(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make arguments of ``load`` of the options whose values have other names there."""

    @wraps(command)
    def wrapper(*args: Any, gic: str, clock: str | None, **options: Any) -> Any:
        if clock is not None:
            if options["provider"] == "host":
                raise click.UsageError(
                    "--clock is of the software KVM: with --provider host time is the host's."
                )
            options["clock"] = clock
        return command(*args, gic=_GICS[gic], **options)

    return wrapper


def _with_history(command: Callable[..., Any]) -> Callable[..., Any]:
    """Make one argument, ``history``, of those options."""

    @wraps(command)
    def wrapper(*args: Any, history: bool, history_memory: str | None, **options: Any) -> Any:
        return command(*args, history=history_memory or history, **options)

    return wrapper


#: Of a guest that comes from a recorded run, which says all that decides what it does.
_OF_REPLAY = frozenset(
    {"symbols", "slide", "vmlinux", "modules", "debug_dirs", "drives", "on_panic", "overwatch"}
)


def replay_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add those options to a command that replays a run, which passes them on to ``load``."""

    @wraps(command)
    def wrapper(*args: Any, history_memory: str | None, **options: Any) -> Any:
        return command(*args, history=history_memory or True, **options)

    result: Callable[..., Any] = click.option(
        "--history-memory",
        metavar="SIZE",
        help="What history may take of the host's memory. [default: a quarter]",
    )(wrapper)
    for option in reversed(_OPTIONS):
        probe: Any = option(lambda: None)
        if probe.__click_params__[0].name in _OF_REPLAY:
            result = option(result)
    return result


def guest_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which passes them on to ``load``."""
    command = _with_semihosting(_with_provider(_with_board(_with_history(command))))
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
