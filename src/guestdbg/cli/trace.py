"""`guestdbg trace`: a recorded trace of instructions in another form."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from guestdbg.cli.output_file import OutputFile
from guestdbg.trace.tracing.instructions import RecordFile, check_form, convert

if TYPE_CHECKING:
    from guestdbg.cli.output_file import Existing


@click.command(
    short_help="Turn a trace of instructions into text or a table.",
    epilog="""\b
Examples:
  guestdbg trace boot.gdtrace -o boot.tarmac
  guestdbg trace boot.gdtrace -o boot.parquet
""",
)
@click.argument("source", metavar="FILE.gdtrace", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A new file: .tarmac (Arm's text), .jsonl (lines of JSON), .parquet or .csv (tables).",
)
@click.option("--overwrite", is_flag=True, help="FILE may exist: replace it.")
def trace(source: Path, output: Path, overwrite: bool) -> None:
    """Turn FILE.gdtrace, a trace of every instruction, into a file of another form.

    A trace that was cut is read up to its last whole record.
    """
    form = check_form(output)
    existing: Existing = "overwrite" if overwrite else "refuse"
    with source.open("rb") as file:
        records = RecordFile(file)
        with OutputFile(output, "--output", existing, [source]) as opened:
            opened.begin()
            with opened.binary() as out:
                count = convert(records, out, form)
    click.echo(f"{output}: {count:,} records of {source}", err=True)
    if records.cut:
        click.echo(f"{source}: it ends in the middle of a record, which is left out", err=True)
