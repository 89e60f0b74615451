"""The results of `guestdbg faults`: as text, and as a page."""

from collections.abc import Sequence
from pathlib import Path

import click

from guestdbg.cli.output_file import OutputFile
from guestdbg.faults import FaultCampaign
from guestdbg.report import Sources, fault_page, fault_text


def show_faults(directory: Path, folders: Sequence[Path], page: Path | None) -> None:
    """Show the faults of a campaign that was made, and write their page."""
    show_results(FaultCampaign(directory), Sources(folders), page)


def show_results(made: FaultCampaign, sources: Sources, path: Path | None) -> None:
    """Show what faults led to, and write that to ``path`` as a page, a new file."""
    click.echo(fault_text(made, sources))
    if path is None:
        return
    text = fault_page(made, sources)
    with OutputFile(path, "--page") as file:
        file.begin(len(text.encode()))
        file.line(text)
    click.echo(f"{path}: {made.summary().done:,} cases", err=True)
