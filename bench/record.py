"""The figures of one run, how they were taken, and the JSON file that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from bench.environment import Environment
from bench.measurement import Measurement, Result

#: The ratios of a run: the first figure divided by the second.
RATIOS = (
    ("loop_mips", "unicorn_loop_mips"),
    ("loop_mips", "qemu_loop_mips"),
    ("suite_mips", "unicorn_suite_mips"),
    ("suite_mips", "qemu_suite_mips"),
    ("fp_suite_mips", "unicorn_fp_suite_mips"),
    ("fp_suite_mips", "qemu_fp_suite_mips"),
    ("loop_mips_armed", "loop_mips"),
    ("loop_mips_armed_elsewhere", "loop_mips"),
    ("qemu_loop_mips_armed", "qemu_loop_mips"),
    ("loop_mips_armed", "qemu_loop_mips_armed"),
    ("stops_per_second", "qemu_gdb_stops_per_second"),
    ("steps_per_second", "qemu_gdb_steps_per_second"),
    ("gdb_conditional_per_second", "qemu_gdb_conditional_per_second"),
    ("gdb_stops_per_second", "qemu_gdb_stops_per_second"),
    ("gdb_steps_per_second", "qemu_gdb_steps_per_second"),
    ("host_stops_per_second", "qemu_kvm_gdb_stops_per_second"),
    ("restores_per_second", "qemu_restores_per_second"),
    ("uboot_seconds", "qemu_uboot_seconds"),
    ("linux_boot_seconds", "qemu_linux_boot_seconds"),
    ("linux_boot_armed_seconds", "linux_boot_seconds"),
    ("linux_boot_4_seconds", "qemu_linux_boot_4_seconds"),
    ("linux_user_mips", "qemu_linux_user_mips"),
    ("page_walk_seconds", "qemu_page_walk_seconds"),
    ("lx_ps_seconds", "qemu_lx_ps_seconds"),
)


class RecordError(click.ClickException):
    """A file is not the record of a run, or a record cannot be kept; the text says why."""


@dataclass(frozen=True)
class Figure:
    """One figure. `value` is None if it was not measured; `reason` then says why."""

    key: str
    unit: str
    what: str
    better: str
    value: float | None
    how: str
    runs: tuple[float, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None

    @property
    def text(self) -> str:
        """The value and its unit, or "-"."""
        return with_unit(self.value, self.unit)


@dataclass(frozen=True)
class Record:
    """One run: its figures by key, and where and of what they were taken."""

    figures: Mapping[str, Figure]
    environment: Environment

    def value(self, key: str) -> float | None:
        """The figure of this key, if it was measured."""
        figure = self.figures.get(key)
        return figure.value if figure is not None else None

    def ratios(self) -> dict[str, float | None]:
        """`RATIOS` by name; None if one of the two figures is missing."""
        found: dict[str, float | None] = {}
        for above, below in RATIOS:
            dividend, divisor = self.value(above), self.value(below)
            ratio = dividend / divisor if dividend is not None and divisor else None
            found[f"{above} / {below}"] = ratio
        return found

    def document(self) -> dict[str, Any]:
        """The JSON document: every key with its figure, and under `details` how it was taken."""
        document: dict[str, Any] = {key: figure.value for key, figure in self.figures.items()}
        document["ratios"] = self.ratios()
        document["not_measured"] = {
            key: figure.reason for key, figure in self.figures.items() if figure.reason is not None
        }
        document["details"] = {
            key: {
                "unit": figure.unit,
                "what": figure.what,
                "better": figure.better,
                "how": figure.how,
                "runs": figure.runs,
            }
            | ({"parts": dict(figure.parts)} if figure.parts else {})
            for key, figure in self.figures.items()
        }
        return document | self.environment.document()


# Digits after the decimal point. Other units: one digit below 10, none above.
_DIGITS = {"s": 3, "times": 2}


def without_unit(value: float, unit: str) -> str:
    """A value as text, with the digits that its unit calls for."""
    return f"{value:,.{_DIGITS.get(unit, int(value < 10))}f}"


def with_unit(value: float | None, unit: str) -> str:
    """A value as text with its unit, or "-" for None."""
    return "-" if value is None else f"{without_unit(value, unit)} {unit}"


def of_results(
    measurements: Sequence[Measurement], results: Mapping[str, Result], environment: Environment
) -> Record:
    """The record of the measurements that have a result."""
    figures = {
        m.key: Figure(
            m.key, m.unit, m.what, m.better, r.value, r.how, tuple(r.runs), dict(r.parts), r.reason
        )
        for m in measurements
        if (r := results.get(m.key)) is not None
    }
    return Record(figures, environment)


def write(record: Record, path: Path, *, overwrite: bool = True) -> None:
    """Write the JSON file. Raises FileExistsError if it exists and `overwrite` is False."""
    text = json.dumps(record.document(), indent=2) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w" if overwrite else "x", encoding="utf-8") as file:
        file.write(text)


def read(path: Path) -> Record:
    """Read a JSON file of `write`, also one of a version that did not note the commit.

    Raises:
        RecordError: it cannot be read, or is not such a file.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise RecordError(f"{path}: not a JSON file: {error}") from None
    try:
        details = document["details"]
        reasons = document.get("not_measured", {})
        figures = {
            key: _figure(key, document[key], detail, reasons.get(key))
            for key, detail in details.items()
        }
        return Record(figures, Environment.of_document(document))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise RecordError(f"{path}: not a file that `python -m bench` wrote") from None


def _figure(key: str, value: object, detail: Mapping[str, Any], reason: str | None) -> Figure:
    """A figure of a document. Raises KeyError, TypeError or ValueError if it is malformed."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"{key} is not a number")
    return Figure(
        key=key,
        unit=str(detail["unit"]),
        what=str(detail["what"]),
        better=str(detail["better"]),
        value=None if value is None else float(value),
        how=str(detail["how"]),
        runs=tuple(float(run) for run in detail["runs"]),
        parts={
            str(part): float(part_value) for part, part_value in detail.get("parts", {}).items()
        },
        reason=reason,
    )
