"""`guestdbg caps`: the capabilities of the provider, by KVM_CHECK_EXTENSION, and its processor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from guestdbg.cli.provider_options import provider_options, who
from guestdbg.cli.wrapping import wrapped
from guestdbg.kvm import SupportsCpuModel, SupportsTier, constants, open_kvm

if TYPE_CHECKING:
    from guestdbg.kvm import Kvm

NOTES = {
    "KVM_CAP_SET_GUEST_DEBUG": "guest debugging",
    "KVM_CAP_GUEST_DEBUG_HW_BPS": "breakpoint registers",
    "KVM_CAP_GUEST_DEBUG_HW_WPS": "watchpoint registers",
    "KVM_CAP_SET_GUEST_DEBUG2": "valid control flags",
    "KVM_CAP_ARM_EL1_32BIT": "32-bit guests",
    "KVM_CAP_MAX_VCPUS": "maximum of vCPUs",
    "KVM_CAP_NR_MEMSLOTS": "maximum of memory regions",
    "KVM_CAP_ARM_VM_IPA_SIZE": "bits of physical address",
}
FLAGS = {"KVM_CAP_SET_GUEST_DEBUG2"}


def capabilities(kvm: Kvm) -> dict[str, tuple[int, int]]:
    """Name -> (number, answer) of every capability whose name guestdbg knows."""
    numbers = {n: v for n, v in vars(constants).items() if n.startswith("KVM_CAP_")}
    return {
        name: (number, kvm.check_extension(number))
        for name, number in sorted(numbers.items(), key=lambda item: item[1])
    }


@click.command(
    short_help="Show what the provider can do.",
    epilog="""\b
Example:
  guestdbg caps --json | jq .capabilities.KVM_CAP_GUEST_DEBUG_HW_WPS
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--all", "show_all", is_flag=True, help="Include capabilities that the provider does not have."
)
@provider_options("The KVM to ask.")
def caps(as_json: bool, show_all: bool, kvm: dict[str, str]) -> None:
    """Show what the provider can do: debug registers, limits, extensions, the processor."""
    with open_kvm(**kvm) as opened:
        found = capabilities(opened)
        if as_json:
            document = {
                "provider": opened.provider,
                "linux": opened.linux,
                "api_version": opened.api_version(),
                "capabilities": {name: answer for name, (_, answer) in found.items()},
            }
            if isinstance(opened, SupportsCpuModel):
                document["cpu"] = {"model": opened.cpu.name, "features": opened.cpu.feature_names}
            if isinstance(opened, SupportsTier):
                document["tier"] = opened.tier
            click.echo(json.dumps(document, indent=2))
            return
        click.echo(f"provider {who(opened)}, KVM API version {opened.api_version()}")
        for name, (number, answer) in found.items():
            if answer or show_all or name in NOTES:
                value = f"{answer:#x}" if name in FLAGS else str(answer)
                click.echo(f"{name:36} {number:>3}  {value:<8}  {NOTES.get(name, '')}".rstrip())
        if isinstance(opened, SupportsCpuModel):
            names = " ".join(opened.cpu.feature_names)
            click.echo(wrapped(f"processor {opened.cpu}: {names}", hanging="  "))
        if isinstance(opened, SupportsTier):
            click.echo(wrapped(f"executed by {opened.tier}", hanging="  "))
