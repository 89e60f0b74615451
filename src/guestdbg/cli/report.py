"""`guestdbg report`: a run as a page of HTML."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from guestdbg.cli.output_file import OutputFile
from guestdbg.cli.source_option import source_option
from guestdbg.report import Hits, Sources, page, read_coverage, read_log

if TYPE_CHECKING:
    from guestdbg.cli.output_file import Existing


@click.command(
    short_help="Make a page of HTML from the log of a run.",
    epilog="""\b
Examples:
  guestdbg run examples/queue.elf --watch queue.tail --backtrace \\
      --count 500 --log run.jsonl
  guestdbg report run.jsonl -o report.html --source examples

\b
  guestdbg run examples/queue.elf --coverage queue.json \\
      --coverage-form counts
  guestdbg report --coverage queue.json --source examples
""",
)
@click.argument("log", required=False, type=click.Path(path_type=Path))
@click.option(
    "--coverage",
    "coverage_path",
    metavar="FILE.json",
    type=click.Path(path_type=Path),
    help="What `guestdbg run --coverage FILE.json` has written; with LOG, or alone.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE.html",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The page, a new file; `-` is stdout. [default: LOG.html]",
)
@click.option("--overwrite", is_flag=True, help="The page may exist: replace it.")
@source_option("A folder with source files of the guest, whose lines are shown.")
@click.option("--title", metavar="TEXT", help="The title of the page. [default: the name of LOG]")
def report(
    log: Path | None,
    coverage_path: Path | None,
    output: Path | None,
    overwrite: bool,
    folders: tuple[Path, ...],
    title: str | None,
) -> None:
    """Make one page of HTML from LOG, which `guestdbg run --log` has written.

    It shows the hits on a timeline, watched values over time, who made the accesses, source lines
    with counts, and every hit; with --coverage, also which lines and functions were executed. It
    opens from a file, and loads nothing.
    """
    inputs = [path for path in (log, coverage_path) if path is not None]
    if not inputs:
        raise click.UsageError("What is to be shown? Give a LOG, --coverage FILE.json, or both.")
    coverage = None if coverage_path is None else read_coverage(coverage_path)
    hits = Hits(inputs[0].name) if log is None else read_log(log)
    if title is not None:
        hits.title = title
    text = page(hits, Sources(folders), coverage=coverage)
    path = output or inputs[0].with_suffix(".html")
    existing: Existing = "overwrite" if overwrite else "refuse"
    with OutputFile(path, "--output", existing, inputs) as file:
        file.begin(len(text.encode()))
        file.line(text)
    if str(path) == "-":
        return
    shown = [] if log is None else [f"{hits.total:,} hits"]
    if coverage is not None:
        shown.append(f"{sum(map(len, coverage.lines.values())):,} lines with code")
    click.echo(f"{path}: {', '.join(shown)}", err=True)
