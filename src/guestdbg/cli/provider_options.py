"""The options that choose a KVM: `--provider`, and `--linux` of the software KVM."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from guestdbg.kvm import Kvm
from guestdbg.kvm.linux_release import SOFTWARE_VERSIONS
from guestdbg.kvm.provider import PROVIDERS


def who(kvm: Kvm) -> str:
    """The provider and the kernel for people: "host (Linux 6.1.0-31-arm64)"."""
    return f"{kvm.provider} ({'as ' if kvm.provider == 'soft' else ''}Linux {kvm.linux})"


def provider_options(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options to a command. It gets ``kvm``: the arguments of ``open_kvm`` by name.

    ``help``: the text for `--provider`.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def wrapper(*args: Any, provider: str, linux: str | None, **others: Any) -> Any:
            if linux is not None and provider == "host":
                raise click.UsageError(
                    "--linux is of the software KVM: with --provider host the running kernel "
                    "answers."
                )
            kvm = {"provider": provider} | ({"linux": linux} if linux is not None else {})
            return command(*args, kvm=kvm, **others)

        for option in (
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
