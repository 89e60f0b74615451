"""`python -m bench [--only KEY]... [--output FILE]`."""

from pathlib import Path

import click
from rich.console import Console

from bench import report
from bench.measurement import Measurement, take_all
from bench.measurements import (
    decided_per_second,
    gdb_conditional_per_second,
    gdb_steps_per_second,
    gdb_stops_per_second,
    host_exit_ratio,
    host_stops_per_second,
    loop_mips,
    loop_mips_armed,
    loop_mips_armed_elsewhere,
    qemu_gdb_conditional_per_second,
    qemu_gdb_steps_per_second,
    qemu_gdb_stops_per_second,
    qemu_kvm_gdb_stops_per_second,
    qemu_loop_mips,
    qemu_loop_mips_armed,
    qemu_suite_mips,
    qemu_uboot_seconds,
    recorded_per_second,
    steps_per_second,
    stops_per_second,
    suite_mips,
    uboot_seconds,
    unicorn_loop_mips,
    unicorn_suite_mips,
)

# Each of ours next to its rivals, so that the same minute on the same machine judges both.
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
    uboot_seconds.MEASUREMENT,
    qemu_uboot_seconds.MEASUREMENT,
    host_exit_ratio.MEASUREMENT,
    host_stops_per_second.MEASUREMENT,
    qemu_kvm_gdb_stops_per_second.MEASUREMENT,
]

BY_KEY = {m.key: m for m in MEASUREMENTS}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(BY_KEY)), help="Measure only this.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("build/bench.json"),
    show_default=True,
)
def main(only: tuple[str, ...], output: Path) -> None:
    """Measures guestdbg and its rivals; prints a table and writes the figures as JSON."""
    console = Console()
    chosen = [BY_KEY[key] for key in only] if only else MEASUREMENTS
    with console.status("measuring") as status:
        results = take_all(chosen, lambda m: status.update(f"{m.key}: {m.what}"))
    report.print_table(console, chosen, results)
    report.write_json(output, chosen, results)
    console.print(f"written to {output}")
    if any(result.failed for result in results.values()):
        raise click.ClickException("a measurement failed; the table says which and why")


if __name__ == "__main__":
    main()
