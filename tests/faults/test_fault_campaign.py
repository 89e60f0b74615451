"""Faults: every one is tried, at the right instruction, and leads to what it must lead to."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import guestdbg
from guestdbg.campaign import CampaignError
from guestdbg.debugger import Guest
from guestdbg.errors import GuestdbgError
from guestdbg.faults import (
    FaultCampaign,
    FaultModel,
    InstructionFlip,
    InstructionValue,
    LoadFlip,
    LoadValue,
    MemoryFlip,
    RegisterFlip,
    RegisterValue,
    Skip,
)
from guestdbg.faults.model_parser import MODEL_FORMS, parse_model
from guestdbg.guest_campaign import CaseRun, Replay
from tests.debugger.compiled import needs_gcc
from tests.faults import guests
from tests.faults.guests import CHECK, LOOP, campaign, guest_at, outcomes
from tests.machine.guests import EXAMPLES

pytestmark = needs_gcc
pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

NOP = 0xD503201F
RULES: dict[str, Any] = {"success": "open", "detected": "noticed", "ends": "closed"}


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return guests.assembled(tmp_path_factory.mktemp("check"), CHECK)


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return guests.assembled(tmp_path_factory.mktemp("loop"), LOOP)


# ---- what a fault leads to -------------------------------------------------------------------


def test_a_table_that_was_made_by_hand(check: Path, tmp_path: Path) -> None:
    """Each instruction that is executed, skipped once."""
    made = campaign(check, tmp_path / "c", function=["main", "check"], **RULES)
    rows = made.to_arrow().to_pylist()
    assert [(row["instruction"].split()[0], row["symbol"], row["outcome"]) for row in rows] == [
        ("adr", "main", "no effect"),
        ("msr", "main+0x4", "no effect"),
        ("isb", "main+0x8", "no effect"),
        ("mov", "main+0xc", "no effect"),  # x0 has another number, and it is not 5
        ("bl", "main+0x10", "success"),  # x0 is 4: not 0
        ("cmp", "check", "no effect"),  # the flags are those of reset: not equal
        ("b.ne", "check+0x4", "success"),
        ("mov", "check+0x10", "success"),  # x0 is 4
        ("ret", "check+0x14", "detected"),  # into the next function in memory
        ("cbz", "main+0x14", "success"),
        ("b", "main+0x1c", "no effect"),  # into `check`, which returns to `cbz`
    ]


def test_the_same_by_line_model_and_place(check: Path, tmp_path: Path) -> None:
    made = campaign(check, tmp_path / "c", [Skip(), Skip(2)], function="check", **RULES)
    assert outcomes(made) == [
        *("no effect", "success", "success", "detected"),
        *("success", "success", "detected", "success"),  # of two instructions each
    ]
    assert made.outcomes() == {"success": 5, "detected": 2, "no effect": 1}
    assert made.by_model() == {"skip": made.outcomes()}
    counts = [(each.symbol, dict(each.outcomes)) for each in made.by_line()]
    assert counts == [
        ("check", {"no effect": 1, "success": 1}),
        ("check+0x4", {"success": 2}),
        ("check+0x10", {"success": 1, "detected": 1}),
        ("check+0x14", {"detected": 1, "success": 1}),
    ]
    found = [(each.symbol, each.what, each.cases) for each in made.found("success")]
    assert found == [
        ("check+0x4", "2 instructions", 2),
        ("check+0x10", "", 1),
        ("check", "2 instructions", 1),
        ("check+0x14", "2 instructions", 1),
    ]
    assert made.found("detected", "hang")[0].where == "check+0x14 (main.S:35)"


def test_registers_and_flags(check: Path, tmp_path: Path) -> None:
    models = [RegisterFlip(["nzcv"]), RegisterValue(5, ["x0"]), RegisterValue(0)]
    made = campaign(check, tmp_path / "c", models, function="check", **RULES)
    found = {
        (row["model"], row["target"], row["bit"], row["symbol"]): row["outcome"]
        for row in made.to_arrow().to_pylist()
    }
    assert found["register flip", "nzcv", 2, "check+0x4"] == "success"  # Z
    assert found["register flip", "nzcv", 3, "check+0x4"] == "no effect"  # N
    assert found["register value", "x0", None, "check"] in ("success", "no effect")
    assert found["register value", "x30", None, "check+0x14"] == "crash"
    values = [row for row in made.to_arrow().to_pylist() if row["target"] == "x0"]
    assert [row["outcome"] for row in values] == ["success", "no effect", "no effect", "success",
                                                  "no effect"]  # fmt: skip


def test_every_case_can_be_run_again(check: Path, tmp_path: Path) -> None:
    models = [Skip(), RegisterFlip(bits=[0, 1, 40]), InstructionFlip(bits=[0, 10, 29])]
    made = campaign(check, tmp_path / "c", models, **RULES)
    total = made.manifest.cases
    assert total is not None
    for number in range(0, total, 7):
        with Replay(made, number, history=False) as again:
            assert not again.differences, number


def test_results_do_not_depend_on_the_workers(loop: Path, tmp_path: Path) -> None:
    models = [Skip(), RegisterFlip("written", bits=[0, 1, 31])]
    one = campaign(loop, tmp_path / "one", models, ends="closed", compare="word")
    with guest_at(loop) as guest:
        two = guest.fault_campaign(tmp_path / "two", models, ends="closed", compare="word")
    two.run(workers=2)
    assert one.to_arrow().to_pylist() == two.to_arrow().to_pylist()
    assert len(one.outcomes()) > 2


# ---- which faults there are ------------------------------------------------------------------


def stepped(path: Path, start: str, end: str) -> list[tuple[int, int]]:
    """Each instruction from one place to another: how many had retired before it, and where."""
    found = []
    with guest_at(path, start) as guest:
        last = guest.symbol(end).address
        begin = guest.execution.retired()
        guest.execution.step_into_interrupts = True
        while guest.cpu.pc != last:
            found.append((guest.execution.retired() - begin, guest.cpu.pc))
            guest.step()
    return found


def places(made: FaultCampaign) -> list[tuple[int, int]]:
    rows = made.to_arrow().select(["fault_at", "fault_pc"]).to_pylist()
    return [(row["fault_at"], row["fault_pc"]) for row in rows]


def test_each_execution_of_each_instruction_is_skipped_once(loop: Path, tmp_path: Path) -> None:
    """By a count of its own: single steps. An exception is taken in the middle of it."""
    made = campaign(loop, tmp_path / "c", ends="closed", exceptions=False)
    expected = stepped(loop, "main", "closed")
    # What ends the run is an instruction of it that has not retired.
    assert places(made) == expected
    assert "does not fit" not in made.outcomes()


@pytest.mark.parametrize("selection", ["function", "lines", "addresses", "instructions"])
def test_selections(loop: Path, tmp_path: Path, selection: str) -> None:
    everything = stepped(loop, "main", "closed")
    with guest_at(loop, "") as guest:
        twice = guest.symbol("twice")
        lines = sorted(
            {guest.locate(pc).line for pc in range(twice.address, twice.address + 12, 4)}
        )
    inside = [each for each in everything if twice.contains(each[1])]
    assert len(inside) == 9
    arguments: dict[str, Any] = {
        "function": "twice",
        "lines": f"main.S:{lines[0]}-{lines[-1]}",
        "addresses": (twice.address, twice.address + twice.size),
        "instructions": (inside[0][0], inside[-1][0] + 1),
    }
    if selection == "instructions":
        first, last = arguments["instructions"]
        inside = [each for each in everything if first <= each[0] < last]
    made = campaign(loop, tmp_path / "c", ends="closed", **{selection: arguments[selection]})
    assert places(made) == inside


def test_faults_are_in_order_and_samples_are_some_of_them(loop: Path, tmp_path: Path) -> None:
    models = [Skip(), RegisterFlip(), MemoryFlip("word")]
    with guest_at(loop) as guest:
        made = guest.fault_campaign(tmp_path / "all", models, ends="closed", function="twice")
        some, other, same = (
            guest.fault_campaign(
                tmp_path / name, models, ends="closed", function="twice", samples=40, seed=seed
            )
            for name, seed in (("some", 1), ("other", 2), ("same", 1))
        )
    space = made.job.space
    # 3 executions: add and str, ret read w20, w20 and x21, x30.
    assert [len(space), space.total] == [9 + 3 * (32 + 32 + 64 + 64) + 9 * 32] * 2
    everything = [str(each) for each in space.faults()]
    assert len(set(everything)) == len(space)
    assert [str(space.fault(n)) for n in range(len(space))] == everything
    chosen = [str(each) for each in some.job.space.faults()]
    assert len(set(chosen)) == 40
    assert sorted(chosen, key=everything.index) == chosen
    assert chosen == [str(each) for each in same.job.space.faults()]
    assert chosen != [str(each) for each in other.job.space.faults()]
    with pytest.raises(IndexError, match="there is no fault 40"):
        some.job.space.fault(40)
    assert space[-1] == space[len(space) - 1]


# ---- the same by other means -----------------------------------------------------------------


def patched(path: Path, place: int, raw: int) -> str:
    """The state at the end if an instruction is another one from the beginning."""
    with guest_at(path, "line") as guest:
        guest.write(place, raw.to_bytes(4, "little"))
        assert guest.run(until=guest.symbol("closed").address, timeout=20).reason == "until"
        return guests.state(guest)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_skip_is_a_nop_and_another_instruction_is_that(tmp_path: Path, seed: int) -> None:
    """In code that is executed once."""
    path = guests.assembled(tmp_path, guests.straight_line(seed))
    models: list[FaultModel] = [Skip(), InstructionValue(), InstructionValue(0x8B010000)]
    made = campaign(
        path,
        tmp_path / "c",
        models,
        start="line",
        ends="closed",
        function="line",
        classify=guests.by_state,
    )
    found = outcomes(made)
    sites = made.job.space.places.sites
    assert len(found) == 3 * len(sites) == 90
    assert len(set(found)) > 20
    for n, site in enumerate(sites):
        nop = patched(path, site.pc, NOP)
        assert found[n] == found[30 + n] == nop, site.text
        assert found[60 + n] == patched(path, site.pc, 0x8B010000), site.text


def test_a_corrupted_load_is_corrupted_memory_and_the_registers_are_right(tmp_path: Path) -> None:
    """Every load form, from a place of its own: what is loaded is wrong in one bit."""
    loads = [
        *("ldr x0, [x12]", "ldr w1, [x12, #8]", "ldrb w2, [x12, #16]", "ldrh w3, [x12, #24]"),
        *("ldrsb w4, [x12, #32]", "ldrsb x5, [x12, #40]", "ldrsh x6, [x12, #48]"),
        *("ldrsw x7, [x12, #56]", "ldp x8, x9, [x12, #64]", "ldpsw x10, x11, [x12, #80]"),
        *("add x12, x12, #96", "ldr x0, [x12], #8", "ldr x1, [x12, #8]!", "ldxr w2, [x12]"),
        "sub x12, x12, #112",
    ]
    text = guests.straight_line(3, 0).replace(
        "\tend line", "\t" + "\n\t".join(loads) + "\n\tend line"
    )
    path = guests.assembled(tmp_path, text)
    options: dict[str, Any] = {"ends": "closed", "classify": guests.by_registers, "start": "line"}
    bits = [0, 6, 7, 13, 15, 30, 31, 40, 63]
    loaded = campaign(path, tmp_path / "l", [LoadFlip(bits)], function="line", **options)
    rows = loaded.to_arrow().to_pylist()
    assert Counter(row["instruction"].split()[0] for row in rows) == {
        "ldr": 9 + 7 + 9 + 9,
        "ldrb": 3,
        "ldrh": 5,
        "ldrsb": 6,
        "ldrsh": 5,
        "ldrsw": 7,
        "ldp": 18,
        "ldpsw": 14,
        "ldxr": 7,
    }
    all_bits = [64 * n + bit for n in range(14) for bit in bits]
    models = [MemoryFlip("data", bits=all_bits), RegisterValue(1, ["x20"])]
    *flipped, golden = outcomes(
        campaign(path, tmp_path / "m", models, instructions=(0, 1), **options)
    )
    by_bit = dict(zip(all_bits, flipped, strict=True))
    first = {"x0": 0, "x1": 64, "x2": 128, "x3": 192, "x4": 256, "x5": 320, "x6": 384, "x7": 448}
    first |= {"x8": 512, "x9": 576, "x10": 640, "x11": 672}
    later = next(n for n, row in enumerate(rows) if row["instruction"].startswith("ldpsw")) + 14
    for n, row in enumerate(rows):
        if n < later and row["target"] in ("x0", "x1", "x2"):
            assert row["outcome"] == golden  # loaded again later
        elif n >= later and row["target"] in ("x1", "x2"):
            assert row["outcome"] != golden  # both load the same place: of memory both change
        else:
            at = 768 if n >= later else first[row["target"]]
            if at + row["bit"] not in by_bit:
                continue  # the second word of a doubleword, whose bits are numbered otherwise
            assert row["outcome"] == by_bit[at + row["bit"]] != golden, row


def test_a_flip_of_what_was_written_is_one_of_what_is_read_next(loop: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"ends": "closed", "compare": "word", "function": "twice"}
    written = campaign(loop, tmp_path / "w", RegisterFlip("written", bits=range(32)), **options)
    read = campaign(loop, tmp_path / "r", RegisterFlip(["w20"]), **options)
    after_add = [r["outcome"] for r in written.to_arrow().to_pylist() if r["target"] == "x20"]
    before_str = [
        r["outcome"] for r in read.to_arrow().to_pylist() if r["instruction"].startswith("str")
    ]
    assert after_add == before_str
    assert len(after_add) == 96
    assert set(after_add) == {"other output"}


# ---- outcomes --------------------------------------------------------------------------------


def test_a_classifier_and_names_of_the_user(check: Path, tmp_path: Path) -> None:
    def classify(run: CaseRun) -> str | None:
        return "bad" if run.outcome == "success" else None

    made = campaign(
        check,
        tmp_path / "c",
        function="check",
        points={"noticed": "seen by a counter"},
        ends="closed",
        success="open",
        classify=classify,
        failures=["bad"],
    )
    assert made.outcomes() == {"bad": 2, "seen by a counter": 1, "no effect": 1}
    assert made.failed_outcomes() == ["bad"]
    assert "bad: skip at check+0x4 (main.S:" in made.summary().failures[0].signature


def test_a_run_that_only_its_limit_ends(loop: Path, tmp_path: Path) -> None:
    """The loop at the end goes on: what counts is what was compared."""
    made = campaign(loop, tmp_path / "c", function="twice", max_instructions=500, compare="word")
    assert outcomes(made) == [
        *("other output", "no effect", "crash"),  # it returns to EL0, where there is nothing
        *("other output", "no effect", "no effect"),
        *("other output", "other output", "no effect"),  # what was not stored is stored next time
    ]
    assert made.failed_outcomes() == ["other output"]


def test_it_can_be_read_while_and_after_it_runs(check: Path, tmp_path: Path) -> None:
    with guest_at(check) as guest:
        made = guest.fault_campaign(tmp_path / "c", function="check", **RULES)
    assert "no case has a result yet" in made.text()
    made.run(workers=0)
    found = FaultCampaign(tmp_path / "c")
    text = found.text(sources=[check.parent])
    assert "31 b.ne 2f" in text
    assert all(len(line) <= 80 for line in text.splitlines()), text
    page = found.report(tmp_path / "page.html", title="<b>", sources=[check.parent])
    assert (tmp_path / "page.html").read_text() == page
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "<script" not in page


# ---- bad arguments ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "arguments", "text"),
    [
        ([], {}, "faults is .*: it must be a fault model"),
        ([Skip, Skip()], {}, "it must be a fault model"),
        (None, {"function": "chekc"}, "chekc"),
        (None, {"function": "noticed"}, "executes nothing of noticed"),
        (None, {"lines": "main.S"}, "must be like 'file.c:20-35'"),
        (None, {"instructions": (5, 5)}, "the first must come before the end"),
        (None, {"instructions": (1000, 2000)}, "executes nothing of instructions 1,000 to 2,000"),
        (None, {"compare": "nothing"}, "nothing"),
        (None, {"samples": 0}, "samples is 0: there are 1 to 11"),
        (None, {"samples": 12}, "samples is 12: there are 1 to 11"),
        (LoadFlip(), {"function": "check"}, "no faults of these models"),
        (MemoryFlip("nothing"), {}, "nothing"),
        (MemoryFlip("main", bits=[4000]), {}, "bit 4000"),
        (RegisterFlip(["x99"]), {}, "x99"),
    ],
)
def test_what_cannot_be(
    check: Path, tmp_path: Path, faults: Any, arguments: dict[str, Any], text: str
) -> None:
    with guest_at(check) as guest:
        pc = guest.cpu.pc
        with pytest.raises(GuestdbgError, match=text):
            guest.fault_campaign(tmp_path / "c", faults, **{**RULES, **arguments})
        assert guest.cpu.pc == pc
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Skip(0),
        lambda: RegisterFlip("x0"),
        lambda: RegisterFlip([]),
        lambda: RegisterFlip(bits=[128]),
        lambda: LoadFlip(bits=[1, 1]),
        lambda: LoadValue(1 << 200),
        lambda: InstructionFlip(bits=[32]),
        lambda: InstructionValue(1 << 32),
    ],
)
def test_models_that_cannot_be(make: Any) -> None:
    with pytest.raises(CampaignError):
        make()


def test_a_run_that_does_not_end_or_that_crashes_without_a_fault(
    check: Path, loop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from guestdbg.faults import make

    monkeypatch.setattr(make, "_GOLDEN_INSTRUCTIONS", 10_000)
    with guest_at(check) as guest, pytest.raises(CampaignError, match="does not end: limit"):
        guest.fault_campaign(tmp_path / "c")
    with guest_at(check) as guest:
        guest.write(guest.symbol("check").address, bytes(4))
        with pytest.raises(CampaignError, match=r"without a fault: exception .*exceptions=False"):
            guest.fault_campaign(tmp_path / "c", ends="closed")
        (tmp_path / "c").mkdir()
        with pytest.raises(CampaignError, match="exists already"):
            guest.fault_campaign(tmp_path / "c", ends="closed")


def test_models_as_text() -> None:
    parsed = [
        *("skip", "skip:2", "register-flip", "register-flip:written", "register-flip:x0,nzcv"),
        *("register-value:0", "register-value:-1,x3", "load-flip", "load-value:0"),
        *("instruction-flip", "instruction-value:0xd503201f", "memory-flip:word"),
        "memory-flip:0x40000000,4",
    ]
    titles = {parse_model(text).title for text in parsed}
    assert len(titles) == len(parsed)
    assert parse_model("register-flip:x0,nzcv") == RegisterFlip(("x0", "nzcv"))
    for text in ("", "skipp", "skip:", "skip:x", "load-value", "load-flip:3", "memory-flip"):
        with pytest.raises(CampaignError):
            parse_model(text)
    assert len(MODEL_FORMS) == 8


def test_a_change_where_the_guest_is_elsewhere_is_refused(check: Path) -> None:
    """A fault is never made at another instruction than its own."""
    from guestdbg.faults.injection import SkipInstructions
    from guestdbg.guest_campaign import DoesNotFit

    with guest_at(check) as guest, pytest.raises(DoesNotFit, match="does not come to"):
        _apply(guest, SkipInstructions(guest.cpu.pc + 8, 0, 1))


def _apply(guest: Guest, change: Any) -> None:
    change.apply(guest)


# ---- other guests ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "vcpus"), [("smp", 3), ("mmu", 1)])
def test_faults_are_where_they_belong_on_any_guest(tmp_path: Path, name: str, vcpus: int) -> None:
    """Several vCPUs that take turns; an MMU, EL0, and exceptions on purpose."""
    path = EXAMPLES / f"{name}.elf"
    with guestdbg.load(path, provider="soft", console=None, vcpus=vcpus) as guest:
        made = guest.fault_campaign(
            tmp_path / "c", [Skip(), RegisterFlip(), InstructionFlip()], samples=40, seed=3
        )
    space = made.job.space
    assert {place.vcpu for place in space.places} == set(range(vcpus))
    made.run(workers=0)
    found = made.outcomes()
    assert found.total() == 40
    assert "does not fit" not in found
    assert found["no effect"]
    assert found["other output"] + found["crash"] + found["hang"] > 5
