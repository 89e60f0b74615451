"""Random programs with points of every kind, whose hits the provider evaluates, and Python.

The cases are those of tools/fuzz.py, by their seeds: `python tools/fuzz.py --plain --replay
hits:SEED` repeats one, and reports it reduced. `--kind hits` goes on with others.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import fuzz_hits  # noqa: E402
from fuzz_accesses import FORMS, READ, WRITE  # noqa: E402
from fuzz_case import Failure  # noqa: E402

from guestdbg.arm64.instructions import memory_operand  # noqa: E402
from guestdbg.debugger.breakpoints.point import Point  # noqa: E402
from guestdbg.debugger.breakpoints.recording import Recording  # noqa: E402
from guestdbg.debugger.vcpu import watchpoint_handler  # noqa: E402
from guestdbg.debugger.vcpu.exclusive_stepper import ExclusiveStepper  # noqa: E402
from guestdbg.debugger.vcpu.hit_programs import HitProgramSet  # noqa: E402

SEED = int(os.environ.get("GUESTDBG_FUZZ_SEED", "20261129"))
PROGRAMS = 600

#: Accesses that watchpoints do not notice.
UNNOTICED = ("maintenance", "prefetch")
#: What must have happened so often.
LEAST = {
    "handler": 900, "condition": 200, "record": 400, "stop hit": 200, "stop step": 200,
    "stop limit": 20, "page crossed": 150, "line crossed": 300, "faulted": 20, "raises": 15,
    "breakpoint hits": 300, "break hardware": 60, "break software": 60, "condition held": 150,
    "before": 20, "bit-field": 15, "limit": 60, "registers": 40, "ignored": 30, "late": 1,
    "handler stop": 30, "handler disable": 4, "handler enable": 4, "action detached": 20,
    "action disarmed": 20, "action restore": 20, "when count": 40, "when new": 20,
    "length more": 80, "length 3": 10, "interrupt": 50, "float": 40,
    "when vector": 40, "two vCPUs": 20, "decided": 300,
}  # fmt: skip


def test_both_ways_give_the_same_hits() -> None:
    did: Counter[str] = Counter()
    for seed in range(SEED, SEED + PROGRAMS):
        fuzz_hits.run(seed, did)
    assert did["programs"] == PROGRAMS
    few = {what: did[what] for what, least in LEAST.items() if did[what] < least}
    assert not few, f"too seldom: {few}"
    forms = [form for form in (*FORMS, "literal", "exclusive", "device") if form not in UNNOTICED]
    seldom = {form: did[f"form {form}"] for form in forms if did[f"form {form}"] < 2}
    assert not seldom, f"forms that hit nothing: {seldom}"


@pytest.mark.parametrize("name", FORMS)
def test_the_decoder_knows_every_form(name: str) -> None:
    """What the generator says of its own encodings is a second opinion."""
    rng = random.Random(name)
    for _ in range(300):
        code = FORMS[name](rng)
        if code.block > 1 or not code.hits:
            continue
        operand = memory_operand(code.raw | 20 << code.base_at)
        assert operand is not None, f"{code.raw:#x}"
        assert (operand.total, operand.base) == (code.size, 20), f"{code.raw:#x}"
        bits = (READ if operand.reads else 0) | (WRITE if operand.writes else 0)
        assert bits == code.bits, f"{code.raw:#x}"


# ---- defects that it must find ----------------------------------------------------------------


def several(count: int = 400) -> None:
    for seed in range(count):
        fuzz_hits.run(seed, Counter())


def _without_collecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of the provider are not taken over before Python counts."""
    monkeypatch.setattr(HitProgramSet, "collect", lambda self: None)


def _records_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    note = Recording.note

    def first(self: Recording, hit: Any) -> None:
        note(self, hit)
        self._chunks.insert(0, self._chunks.pop())

    monkeypatch.setattr(Recording, "note", first)


def _a_wrong_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what Python decodes only: the provider knows what it has accessed."""
    plan = watchpoint_handler.access_plan

    def shorter(raw: int) -> Any:
        found = plan(raw)
        touched = found.touched

        def less(*how: Any) -> Any:
            where = touched(*how)
            return where and where._replace(size=max(1, where.size - 1))

        copy = type(found)(raw)
        copy.touched = less
        copy.base = None
        return copy

    monkeypatch.setattr(watchpoint_handler, "access_plan", shorter)


def _steps_without_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an exclusive sequence that begins with a step, nothing is reported."""
    monkeypatch.setattr(ExclusiveStepper, "_note_watches", lambda self, active, pc: None)


def _the_provider_forgets_a_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its count is one less after it was set."""
    go_on = HitProgramSet.continue_counts

    def less(self: HitProgramSet) -> None:
        go_on(self)
        for counter in self._counters:
            if self._installed is not None and counter.point.seen > 1:
                self._installed.set_counts(counter.number, counter.seen - 1, counter.passed)

    monkeypatch.setattr(HitProgramSet, "continue_counts", less)


def _a_hit_is_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways alike: only the model can notice it."""
    match = watchpoint_handler.WatchpointHandler._match

    def counted(self: Any, watch: Point, *rest: Any) -> Any:
        hit = match(self, watch, *rest)  # type: ignore[arg-type]
        if hit is not None and watch.when is None:
            watch.seen += 1
        return hit

    monkeypatch.setattr(watchpoint_handler.WatchpointHandler, "_match", counted)


@pytest.mark.parametrize(
    "defect",
    [
        _without_collecting,
        _records_in_another_order,
        _a_wrong_size,
        _steps_without_watches,
        _the_provider_forgets_a_hit,
        _a_hit_is_counted_twice,
    ],
    ids=lambda defect: defect.__name__,
)
def test_a_defect_is_found(
    monkeypatch: pytest.MonkeyPatch, defect: Callable[[pytest.MonkeyPatch], None]
) -> None:
    fuzz_hits.world.cache_clear()
    defect(monkeypatch)
    try:
        with pytest.raises(Failure) as failure:
            several()
    finally:
        fuzz_hits.world.cache_clear()
    small = str(failure.value)
    assert small.count("Accessed(") <= 6, "it is reduced"
    assert small.count("  point ") <= 3
