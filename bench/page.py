"""The tables of docs/performance.md, generated from a kept run.

They are between two comments in the page; the first names the run. A test compares the page with
what this module generates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import history
from bench.record import Record, RecordError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"

_BLOCK = re.compile(r"<!-- figures of (\S+) -->\n(.*?)<!-- /figures -->", re.DOTALL)

#: What was measured, and the keys of guestdbg, QEMU and Unicorn.
_ROWS: tuple[tuple[str, str, str | None, str | None], ...] = (
    ("the loop, nothing armed", "loop_mips", "qemu_loop_mips", "unicorn_loop_mips"),
    (
        "the loop, debug registers armed on its pages (QEMU: one watchpoint)",
        "loop_mips_armed",
        "qemu_loop_mips_armed",
        None,
    ),
    (
        "the loop, all debug registers armed on other pages",
        "loop_mips_armed_elsewhere",
        None,
        None,
    ),
    ("real programs, geometric mean", "suite_mips", "qemu_suite_mips", "unicorn_suite_mips"),
    (
        "real programs with floating point and vectors, geometric mean",
        "fp_suite_mips",
        "qemu_fp_suite_mips",
        "unicorn_fp_suite_mips",
    ),
    (
        "watchpoint hits with a Python handler",
        "stops_per_second",
        "qemu_gdb_stops_per_second",
        None,
    ),
    ("single steps from Python", "steps_per_second", "qemu_gdb_steps_per_second", None),
    ("hits that fail a condition", "decided_per_second", None, None),
    ("hits recorded", "recorded_per_second", None, None),
    (
        "GDB: watchpoint hits with a Python `stop()`",
        "gdb_stops_per_second",
        "qemu_gdb_stops_per_second",
        None,
    ),
    ("GDB: single steps", "gdb_steps_per_second", "qemu_gdb_steps_per_second", None),
    (
        "GDB: a breakpoint whose condition is false",
        "gdb_conditional_per_second",
        "qemu_gdb_conditional_per_second",
        None,
    ),
    (
        "campaigns: cases a second of two workers, as a part of two processes without a campaign",
        "campaign_two_workers_ratio",
        None,
        None,
    ),
    ("coverage: the suite with it, as a part of its speed without", "coverage_ratio", None, None),
    ("AFL++: executions of a small parser, on one core", "fuzz_execs_per_second", None, None),
    (
        "AFL++: executions of U-Boot's parser of its environment",
        "fuzz_uboot_execs_per_second",
        None,
        None,
    ),
    ("traces: events, for Perfetto", "trace_calls_per_second", None, None),
    (
        "traces: every instruction with what it changed",
        "trace_instructions_per_second",
        "qemu_trace_instructions_per_second",
        None,
    ),
    ("history: the suite with it, as a part of its speed without", "history_cost", None, None),
    ("history: the loop with it, in the same way", "history_loop_cost", None, None),
    (
        "history: Linux, start to power-off, as a multiple of the time without",
        "linux_boot_history_ratio",
        None,
        None,
    ),
    (
        "history: memory for a million instructions of Linux's boot",
        "history_bytes_per_million_instructions",
        None,
        None,
    ),
    ("history: who wrote this last, 10^9 instructions ago", "last_write_seconds", None, None),
    ("history: a step back in 10^9 instructions", "reverse_step_seconds", None, None),
    (
        "GDB: a step back at the end of 8.6 million instructions",
        "gdb_reverse_step_seconds",
        "qemu_reverse_step_seconds",
        None,
    ),
    ("history: back from hit to hit", "reverse_continue_hits_per_second", None, None),
    ("a guest of 246 instructions, whole process", "startup_seconds", None, None),
    ("process start to the first output of a guest", "startup_output_seconds", None, None),
    ("U-Boot, process start to prompt", "uboot_seconds", "qemu_uboot_seconds", None),
    (
        "Linux, process start to power-off",
        "linux_boot_seconds",
        "qemu_linux_boot_seconds",
        None,
    ),
    ("the same with points armed on busy code and data", "linux_boot_armed_seconds", None, None),
    (
        "the same with four vCPUs",
        "linux_boot_4_seconds",
        "qemu_linux_boot_4_seconds",
        None,
    ),
    (
        "programs in Linux, geometric mean",
        "linux_user_mips",
        "qemu_linux_user_mips",
        None,
    ),
    ("a snapshot of Linux at its prompt", "linux_snapshot_ms", None, None),
    ("Linux put back to it", "linux_restore_ms", None, None),
    (
        "a small guest runs, writes 20 pages, and is put back",
        "restores_per_second",
        "qemu_restores_per_second",
        None,
    ),
    ("the symbols of a Linux kernel (160,000), from its memory", "kallsyms_seconds", None, None),
    (
        "a watch in one process, another uses the address all the time: speed, of unarmed",
        "task_watch_ratio",
        None,
        None,
    ),
    ("drgn: 200 tasks of Linux, as its `ps` shows them", "drgn_ps_seconds", None, None),
    (
        "GDB: all page tables of Linux",
        "page_walk_seconds",
        "qemu_page_walk_seconds",
        None,
    ),
    (
        "GDB: 200 tasks of Linux, by the kernel's own script `lx-ps`",
        "lx_ps_seconds",
        "qemu_lx_ps_seconds",
        None,
    ),
    ("the host's memory for its boot", "linux_host_mib", None, None),
)

_HOST_ROWS: tuple[tuple[str, str, str | None], ...] = (
    ("an exit through Python, as a multiple of an exit in C", "host_exit_ratio", None),
    (
        "watchpoint hits with a Python handler",
        "host_stops_per_second",
        "qemu_kvm_gdb_stops_per_second",
    ),
)

_PROGRAMS = {
    "sort": "quicksort",
    "hash": "SHA-256",
    "crc": "CRC-32 by a table",
    "search": "string search",
    "matrix": "product of integer matrices",
    "list": "linked list",
    "interpreter": "interpreter's loop",
    "copy": "memcpy",
}

_FP_PROGRAMS = {
    "bodies": "planets, scalar double",
    "equaliser": "audio filter, scalar single",
    "image": "blending and comparing, vectors of integers",
    "product": "product of matrices, vectors of floats",
}

_UNITS = {"/s": " a second", "MIPS": " MIPS", "ms": " ms", "MiB": " MiB", "s": " s", "times": ""}


def keys() -> set[str]:
    """The keys of all rows and columns of the tables."""
    rows = (*_ROWS, *_HOST_ROWS)
    return {key for row in rows for key in row[1:] if key is not None}


def run_of_page(text: str) -> str:
    """The name of the run that a page's tables are of. Raises RecordError if it has none."""
    match = _BLOCK.search(text)
    if match is None:
        raise RecordError(f"{PAGE}: there is no <!-- figures of NAME --> … <!-- /figures -->")
    return match[1]


def with_figures(text: str, name: str) -> str:
    """The page with the tables of the kept run `name`.

    Raises:
        RecordError: there is no such run, or the page has no place for them.
    """
    run_of_page(text)
    path = history.find(name)
    tables = "\n".join(_tables(history.read(name)))
    block = f"<!-- figures of {path.stem} -->\n{tables}\n<!-- /figures -->"
    return _BLOCK.sub(lambda _: block, text)


def update(name: str) -> None:
    """Rewrite the page's tables. Raises RecordError as `with_figures`."""
    PAGE.write_text(with_figures(PAGE.read_text(encoding="utf-8"), name), encoding="utf-8")


def _tables(run: Record) -> Iterator[str]:
    """The lines between the two comments."""
    yield from _description(run)
    yield ""
    yield from _table(
        ("what", "key", "guestdbg", "QEMU (hits and steps: GDB on QEMU)", "Unicorn"),
        "llrrr",
        [
            (what, f"`{key}`", *(_value(run, column) for column in (key, qemu, unicorn)))
            for what, key, qemu, unicorn in _ROWS
        ],
    )
    yield ""
    yield "On the real KVM of the lab, in the same run:"
    yield ""
    yield from _table(
        ("what", "key", "guestdbg", "GDB on QEMU with KVM"),
        "llrr",
        [
            (what, f"`{key}`", _value(run, key), _value(run, other))
            for what, key, other in _HOST_ROWS
        ],
    )
    yield ""
    yield "The programs of the suite, in MIPS:"
    yield ""
    yield from _programs(run, _PROGRAMS, "suite_mips")
    yield ""
    yield "Its programs with floating point and vectors:"
    yield ""
    yield from _programs(run, _FP_PROGRAMS, "fp_suite_mips")


def _programs(run: Record, programs: Mapping[str, str], key: str) -> Iterator[str]:
    """A table of programs; `key` is guestdbg's, and the other tools' end with it."""
    yield from _table(
        ("program", "guestdbg", "QEMU", "Unicorn"),
        "lrrr",
        [
            (
                f"`{program}`: {what}",
                *(_part(run, tool + key, program) for tool in ("", "qemu_", "unicorn_")),
            )
            for program, what in programs.items()
        ],
    )


def _description(run: Record) -> Iterator[str]:
    environment = run.environment
    machine, versions = environment.machine, environment.versions
    tools = (
        ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        or "no other tool"
    )
    changed = " with changes" if environment.dirty else ""
    commit = f"commit {str(environment.commit)[:7]}{changed}"
    yield f"One run of `make bench` on {environment.date}, {commit}, compared with {tools}."
    processors = f"{machine['cpus']} processors ({machine['processor']})"
    system = [f"Linux {machine['kernel']}", f"Python {machine['python']}", machine["compiler"]]
    yield f"The machine: {processors}, {', '.join(str(part) for part in system if part)}."


def _table(heading: Sequence[str], alignment: str, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown; `alignment` has an l or r for each column."""
    yield f"| {' | '.join(heading)} |"
    yield f"| {' | '.join('---' if letter == 'l' else '---:' for letter in alignment)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _value(run: Record, key: str | None) -> str:
    """A cell: a figure, "-" if it was not measured, empty if there is no such measurement."""
    if key is None:
        return ""
    value = run.value(key)
    if value is None:
        return "-"
    unit = run.figures[key].unit
    digits = 2 if unit in ("s", "times") else int(value < 100)
    return f"{value:,.{digits}f}{_UNITS.get(unit, f' {unit}')}"


def _part(run: Record, key: str, program: str) -> str:
    figure = run.figures.get(key)
    value = figure.parts.get(program) if figure is not None else None
    return "-" if value is None else f"{value:,.0f}"
