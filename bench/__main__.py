"""`python -m bench`: measure, keep a run, compare two runs, or write the page's tables.

python -m bench [--only KEY]... [--output FILE] [--keep]
python -m bench --from FILE [--keep]
python -m bench --compare A B
python -m bench --page NAME
"""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from bench import comparison, environment, history, page, record, tables
from bench.measurement import Measurement, take_all
from bench.measurements import (
    campaign_two_workers_ratio,
    coverage_ratio,
    decided_per_second,
    drgn_ps_seconds,
    fp_suite_mips,
    fuzz_execs_per_second,
    fuzz_uboot_execs_per_second,
    gdb_conditional_per_second,
    gdb_reverse_step_seconds,
    gdb_steps_per_second,
    gdb_stops_per_second,
    history_bytes_per_million_instructions,
    history_cost,
    history_loop_cost,
    host_exit_ratio,
    host_stops_per_second,
    kallsyms_seconds,
    last_write_seconds,
    linux_boot_4_seconds,
    linux_boot_armed_seconds,
    linux_boot_history_ratio,
    linux_boot_seconds,
    linux_host_mib,
    linux_restore_ms,
    linux_snapshot_ms,
    linux_user_mips,
    loop_mips,
    loop_mips_armed,
    loop_mips_armed_elsewhere,
    lx_ps_seconds,
    page_walk_seconds,
    qemu_fp_suite_mips,
    qemu_gdb_conditional_per_second,
    qemu_gdb_steps_per_second,
    qemu_gdb_stops_per_second,
    qemu_kvm_gdb_stops_per_second,
    qemu_linux_boot_4_seconds,
    qemu_linux_boot_seconds,
    qemu_linux_user_mips,
    qemu_loop_mips,
    qemu_loop_mips_armed,
    qemu_lx_ps_seconds,
    qemu_page_walk_seconds,
    qemu_restores_per_second,
    qemu_reverse_step_seconds,
    qemu_suite_mips,
    qemu_trace_instructions_per_second,
    qemu_uboot_seconds,
    recorded_per_second,
    restores_per_second,
    reverse_continue_hits_per_second,
    reverse_step_seconds,
    startup_output_seconds,
    startup_seconds,
    steps_per_second,
    stops_per_second,
    suite_mips,
    task_watch_ratio,
    trace_calls_per_second,
    trace_instructions_per_second,
    uboot_seconds,
    unicorn_fp_suite_mips,
    unicorn_loop_mips,
    unicorn_suite_mips,
)

# Figures that are compared are next to each other: taken in the same minutes, on the same machine.
MEASUREMENTS: list[Measurement] = [
    loop_mips.MEASUREMENT,
    unicorn_loop_mips.MEASUREMENT,
    qemu_loop_mips.MEASUREMENT,
    loop_mips_armed.MEASUREMENT,
    loop_mips_armed_elsewhere.MEASUREMENT,
    qemu_loop_mips_armed.MEASUREMENT,
    suite_mips.MEASUREMENT,
    unicorn_suite_mips.MEASUREMENT,
    qemu_suite_mips.MEASUREMENT,
    fp_suite_mips.MEASUREMENT,
    unicorn_fp_suite_mips.MEASUREMENT,
    qemu_fp_suite_mips.MEASUREMENT,
    stops_per_second.MEASUREMENT,
    qemu_gdb_stops_per_second.MEASUREMENT,
    gdb_stops_per_second.MEASUREMENT,
    decided_per_second.MEASUREMENT,
    recorded_per_second.MEASUREMENT,
    steps_per_second.MEASUREMENT,
    qemu_gdb_steps_per_second.MEASUREMENT,
    gdb_conditional_per_second.MEASUREMENT,
    qemu_gdb_conditional_per_second.MEASUREMENT,
    gdb_steps_per_second.MEASUREMENT,
    startup_seconds.MEASUREMENT,
    startup_output_seconds.MEASUREMENT,
    uboot_seconds.MEASUREMENT,
    qemu_uboot_seconds.MEASUREMENT,
    campaign_two_workers_ratio.MEASUREMENT,
    coverage_ratio.MEASUREMENT,
    fuzz_execs_per_second.MEASUREMENT,
    fuzz_uboot_execs_per_second.MEASUREMENT,
    trace_calls_per_second.MEASUREMENT,
    trace_instructions_per_second.MEASUREMENT,
    qemu_trace_instructions_per_second.MEASUREMENT,
    history_cost.MEASUREMENT,
    history_loop_cost.MEASUREMENT,
    last_write_seconds.MEASUREMENT,
    reverse_step_seconds.MEASUREMENT,
    gdb_reverse_step_seconds.MEASUREMENT,
    qemu_reverse_step_seconds.MEASUREMENT,
    reverse_continue_hits_per_second.MEASUREMENT,
    linux_boot_seconds.MEASUREMENT,
    qemu_linux_boot_seconds.MEASUREMENT,
    linux_boot_armed_seconds.MEASUREMENT,
    linux_boot_history_ratio.MEASUREMENT,
    history_bytes_per_million_instructions.MEASUREMENT,
    linux_boot_4_seconds.MEASUREMENT,
    qemu_linux_boot_4_seconds.MEASUREMENT,
    linux_user_mips.MEASUREMENT,
    qemu_linux_user_mips.MEASUREMENT,
    linux_snapshot_ms.MEASUREMENT,
    linux_restore_ms.MEASUREMENT,
    restores_per_second.MEASUREMENT,
    qemu_restores_per_second.MEASUREMENT,
    kallsyms_seconds.MEASUREMENT,
    task_watch_ratio.MEASUREMENT,
    drgn_ps_seconds.MEASUREMENT,
    page_walk_seconds.MEASUREMENT,
    qemu_page_walk_seconds.MEASUREMENT,
    lx_ps_seconds.MEASUREMENT,
    qemu_lx_ps_seconds.MEASUREMENT,
    linux_host_mib.MEASUREMENT,
    host_exit_ratio.MEASUREMENT,
    host_stops_per_second.MEASUREMENT,
    qemu_kvm_gdb_stops_per_second.MEASUREMENT,
]

BY_KEY = {m.key: m for m in MEASUREMENTS}

OUTPUT = Path("build/bench.json")


@click.command(
    epilog="""\b
Examples:
  python -m bench --only suite_mips --only qemu_suite_mips
  python -m bench --keep                        measure all and keep the run
  python -m bench --from build/bench.json --keep
  python -m bench --compare 2026-11-29-9733784 build/bench.json
"""
)
@click.option(
    "--only",
    multiple=True,
    metavar="KEY",
    type=click.Choice(list(BY_KEY)),
    help="Measure only this. Repeatable.",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Write the figures to this file.  [default: {OUTPUT}]",
)
@click.option(
    "--from",
    "source",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Do not measure: show the figures of this file.",
)
@click.option("--keep", is_flag=True, help="Keep the run in bench/history.")
@click.option(
    "--compare",
    "names",
    nargs=2,
    metavar="A B",
    help="Print the ratios B/A of two runs: files, or names of kept runs.",
)
@click.option(
    "--page", "kept", metavar="NAME", help="Write a kept run's figures to docs/performance.md."
)
def main(
    only: tuple[str, ...],
    output: Path | None,
    source: Path | None,
    keep: bool,
    names: tuple[str, str] | None,
    kept: str | None,
) -> None:
    """Measure guestdbg and other tools; print tables and write the figures as JSON."""
    measuring = bool(only or output is not None)
    if sum((measuring, source is not None, names is not None, kept is not None)) > 1:
        raise click.UsageError(
            "--from, --compare and --page do not measure: each goes without the others, --only "
            "and --output"
        )
    if keep and (names is not None or kept is not None):
        raise click.UsageError("--keep is for a run that is measured, or read with --from")
    console = Console()
    if names is not None:
        comparison.compare(console, names, (history.read(names[0]), history.read(names[1])))
    elif kept is not None:
        page.update(kept)
    elif source is not None:
        run = record.read(source)
        tables.print_run(console, run)
        if keep:
            click.echo(f"kept as {history.keep(run, str(source))}")
    else:
        chosen = [BY_KEY[key] for key in only] if only else MEASUREMENTS
        _measure(console, chosen, output or OUTPUT, keep)


def _measure(
    console: Console, measurements: Sequence[Measurement], output: Path, keep: bool
) -> None:
    # Before the measurements, which take minutes: what prevents keeping the run, or writing it.
    where = environment.current()
    if keep:
        history.check_can_keep(record.Record({}, where), "--keep")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.open("a").close()
    except OSError as error:
        raise record.RecordError(f"{output}: {error.strerror}") from None
    with console.status("measuring") as status:
        results = take_all(measurements, lambda m: status.update(f"{m.key}: {m.what}"))
    run = record.of_results(measurements, results, where)
    tables.print_run(console, run)
    record.write(run, output)
    click.echo(f"\nwritten to {output}")
    if any(result.failed for result in results.values()):
        raise click.ClickException("a measurement failed; the table says which and why")
    if keep:
        click.echo(f"kept as {history.keep(run, str(output))}")


if __name__ == "__main__":
    main(prog_name="python -m bench")
