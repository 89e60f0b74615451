"""`guestdbg report`: a run as a page of HTML."""

from pathlib import Path

import click

from guestdbg.cli.output_file import Existing, OutputFile
from guestdbg.report import Sources, page, read_log


@click.command(
    short_help="Make a page of HTML from the log of a run.",
    epilog="""\b
Examples:
  guestdbg run examples/queue.elf --watch queue.tail --backtrace \\
      --count 500 --log run.jsonl
  guestdbg report run.jsonl -o report.html --source examples
""",
)
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE.html",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The page, a new file; `-` is stdout. [default: LOG.html]",
)
@click.option("--overwrite", is_flag=True, help="The page may exist: replace it.")
@click.option(
    "--source",
    "folders",
    metavar="DIR",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder with source files of the guest, whose lines are shown. Repeatable.",
)
@click.option("--title", metavar="TEXT", help="The title of the page. [default: the log's name]")
def report(
    log: Path, output: Path | None, overwrite: bool, folders: tuple[Path, ...], title: str | None
) -> None:
    """Make one page of HTML from LOG, which `guestdbg run --log` has written.

    It shows the hits on a timeline, watched values over time, who made the accesses, source lines
    with counts, and every hit. It opens from a file, and loads nothing.
    """
    hits = read_log(log)
    if title is not None:
        hits.title = title
    text = page(hits, Sources(folders))
    path = output or log.with_suffix(".html")
    existing: Existing = "overwrite" if overwrite else "refuse"
    with OutputFile(path, "--output", existing, [log]) as file:
        file.begin(len(text.encode()))
        file.line(text)
    if str(path) != "-":
        click.echo(f"{path}: {hits.total:,} hits", err=True)
