"""The options that choose a KVM: `--provider`, and `--cpu`, `--linux` of the software KVM."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from guestdbg.arm64.cpu_models import CPU_MODELS, DEFAULT_CPU, cpu_model
from guestdbg.arm64.errors import ArchitectureError
from guestdbg.kvm.linux_release import SOFTWARE_VERSIONS
from guestdbg.kvm.provider import PROVIDERS

if TYPE_CHECKING:
    from guestdbg.kvm import Kvm


def who(kvm: Kvm) -> str:
    """The provider and the kernel for people: "host (Linux 6.1.0-31-arm64)"."""
    return f"{kvm.provider} ({'as ' if kvm.provider == 'soft' else ''}Linux {kvm.linux})"


def _cpu(text: str) -> str:
    """A processor model as the type of a click option."""
    try:
        cpu_model(text)
    except ArchitectureError as error:
        raise click.BadParameter(str(error)) from None
    return text


def provider_options(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options to a command. It gets ``kvm``: the arguments of ``open_kvm`` by name.

    ``help``: the text for `--provider`.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def wrapper(
            *args: Any, provider: str, linux: str | None, cpu: str | None, **others: Any
        ) -> Any:
            if linux is not None and provider == "host":
                raise click.UsageError(
                    "--linux is of the software KVM: with --provider host the running kernel "
                    "answers."
                )
            if cpu is not None and provider == "host":
                raise click.UsageError(
                    "--cpu is of the software KVM: with --provider host the guest runs on the "
                    "machine's own processor."
                )
            given = {"linux": linux, "cpu": cpu}
            kvm = {"provider": provider} | {k: v for k, v in given.items() if v is not None}
            return command(*args, kvm=kvm, **others)

        for option in (
            click.option(
                "--cpu",
                type=_cpu,
                metavar="MODEL|FEATURES",
                help=f"The processor of the software KVM: {', '.join(CPU_MODELS)} (all that is "
                "implemented), features (lse,fp16), or both (armv8.2,sha3,sha512).  "
                f"[default: {DEFAULT_CPU}]",
            ),
            click.option(
                "--linux",
                type=click.Choice(SOFTWARE_VERSIONS),
                help="The kernel version that the software KVM answers as.  "
                f"[default: {SOFTWARE_VERSIONS[-1]}]",
            ),
            click.option(
                "--provider",
                type=click.Choice(PROVIDERS),
                default="auto",
                show_default=True,
                help=help,
            ),
        ):
            wrapper = option(wrapper)
        return wrapper

    return decorate
