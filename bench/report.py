"""The table that people read and the JSON that programs read."""

import json
import os
import platform
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measurement import Measurement, Result

# What is divided by what.
RATIOS = {
    "loop_mips / unicorn_loop_mips": ("loop_mips", "unicorn_loop_mips"),
    "loop_mips / qemu_loop_mips": ("loop_mips", "qemu_loop_mips"),
    "suite_mips / unicorn_suite_mips": ("suite_mips", "unicorn_suite_mips"),
    "suite_mips / qemu_suite_mips": ("suite_mips", "qemu_suite_mips"),
    "loop_mips_armed / loop_mips": ("loop_mips_armed", "loop_mips"),
    "loop_mips_armed_elsewhere / loop_mips": ("loop_mips_armed_elsewhere", "loop_mips"),
    "qemu_loop_mips_armed / qemu_loop_mips": ("qemu_loop_mips_armed", "qemu_loop_mips"),
    "loop_mips_armed / qemu_loop_mips_armed": ("loop_mips_armed", "qemu_loop_mips_armed"),
    "stops_per_second / qemu_gdb_stops_per_second": (
        "stops_per_second",
        "qemu_gdb_stops_per_second",
    ),
    "steps_per_second / qemu_gdb_steps_per_second": (
        "steps_per_second",
        "qemu_gdb_steps_per_second",
    ),
    "gdb_conditional_per_second / qemu_gdb_conditional_per_second": (
        "gdb_conditional_per_second",
        "qemu_gdb_conditional_per_second",
    ),
    "gdb_stops_per_second / qemu_gdb_stops_per_second": (
        "gdb_stops_per_second",
        "qemu_gdb_stops_per_second",
    ),
    "gdb_steps_per_second / qemu_gdb_steps_per_second": (
        "gdb_steps_per_second",
        "qemu_gdb_steps_per_second",
    ),
    "host_stops_per_second / qemu_kvm_gdb_stops_per_second": (
        "host_stops_per_second",
        "qemu_kvm_gdb_stops_per_second",
    ),
    "uboot_seconds / qemu_uboot_seconds": ("uboot_seconds", "qemu_uboot_seconds"),
}


def ratios(results: dict[str, Result]) -> dict[str, float | None]:
    """Quotients of figures taken in this run; None where one of the two is missing."""
    quotients: dict[str, float | None] = {}
    for name, (above, below) in RATIOS.items():
        dividend = results[above].value if above in results else None
        divisor = results[below].value if below in results else None
        quotients[name] = dividend / divisor if dividend is not None and divisor else None
    return quotients


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version() -> str:
    pyproject = Path(__file__).parent.parent / "pyproject.toml"
    return str(tomllib.loads(pyproject.read_text())["project"]["version"])


def machine() -> dict[str, str | int]:
    """What the figures were taken on."""
    return {
        "processor": _processor(),
        "cpus": os.cpu_count() or 0,
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "guestdbg": _version(),
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_json(path: Path, measurements: list[Measurement], results: dict[str, Result]) -> None:
    """Every key with its figure (null and a reason where there is none), and how it was taken."""
    document: dict[str, object] = {key: result.value for key, result in results.items()}
    document["ratios"] = ratios(results)
    document["not_measured"] = {k: r.reason for k, r in results.items() if r.reason is not None}
    document["details"] = {
        m.key: {
            "unit": m.unit,
            "what": m.what,
            "better": m.better,
            "how": results[m.key].how,
            "runs": results[m.key].runs,
        }
        | ({"parts": dict(results[m.key].parts)} if results[m.key].parts else {})
        for m in measurements
        if m.key in results
    }
    document["machine"] = machine()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


# Digits behind the point; one at least where there is one before it.
_DIGITS = {"s": 3, "times": 2}


def figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    digits = _DIGITS.get(unit, int(value < 10))
    return f"{value:,.{digits}f} {unit}"


def print_table(
    console: Console, measurements: list[Measurement], results: dict[str, Result]
) -> None:
    table = Table(title="guestdbg and its rivals, in one run on this machine", title_justify="left")
    table.add_column("key", style="bold", no_wrap=True)
    table.add_column("figure", justify="right", no_wrap=True)
    table.add_column("how")
    table.add_column("what")
    for m in measurements:
        if m.key in results:
            result = results[m.key]
            table.add_row(m.key, figure(result.value, m.unit), result.how, result.reason or m.what)
    console.print(table)
    in_parts = [m for m in measurements if m.key in results and results[m.key].parts]
    if in_parts:
        table = Table(title="part by part", title_justify="left")
        table.add_column("part")
        for m in in_parts:
            table.add_column(m.key, justify="right")
        for part in dict.fromkeys(part for m in in_parts for part in results[m.key].parts):
            figures = (results[m.key].parts.get(part) for m in in_parts)
            table.add_row(part, *("-" if f is None else f"{f:,.0f}" for f in figures))
        console.print(table)
    table = Table(title="ratios", title_justify="left")
    table.add_column("what by what")
    table.add_column("ratio", justify="right")
    for name, ratio in ratios(results).items():
        if set(RATIOS[name]) <= set(results):
            table.add_row(name, "-" if ratio is None else f"{ratio:,.2f}")
    console.print(table)
