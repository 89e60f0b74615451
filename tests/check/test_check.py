"""The suite itself: it passes on the software KVM, can fail, and cannot hang."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from guestdbg.arm64.debug import watchpoint
from guestdbg.check import CASES, Failure, Rig, report, run_cases, select
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA
from guestdbg.check.registry import Case, NoSuchCase, case
from guestdbg.check.rig import USE_HW
from guestdbg.cli import main
from guestdbg.kvm import Kvm, open_kvm

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")


#: The reasons for skips on a processor with every register and every instruction.
EVERYTHING_THERE = {
    "all 16 registers are implemented",
    "all 16 breakpoints are implemented",
    "ID_AA64PFR0_EL1.EL3 is 0: without EL3 these values are reserved",
    "Linux 6.14 and later promise otherwise (this is 6.14)",
    "Linux 6.19 and later promise this (this is 6.14)",
}


@pytest.fixture
def kvm() -> Kvm:
    return open_kvm("soft")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["check", "--provider", "soft", *arguments])
    return result.exit_code, result.output


def of(function: object, name: str = "test.case") -> Case:
    assert callable(function)
    return Case(name, "A promise.", "a source", function)


def test_everything_passes_on_the_software_kvm(kvm: Kvm) -> None:
    results = list(run_cases(select(), kvm))
    assert not [f"{r.case.name}: {r.reason}" for r in results if r.verdict == "fail"]
    assert len(results) == len(CASES)
    assert all(r.reason for r in results if r.verdict == "skip")


@pytest.mark.parametrize(
    ("shape", "skipped"),
    [
        ({"breakpoints": 2, "watchpoints": 2, "context_aware": 1}, None),
        (
            {"breakpoints": 16, "watchpoints": 16, "context_aware": 16, "cpu": "max"},
            EVERYTHING_THERE,
        ),
    ],
    ids=["the-least", "the-most"],
)
def test_everything_passes_on_other_processors(
    shape: dict[str, int], skipped: set[str] | None
) -> None:
    results = list(run_cases(select(), open_kvm("soft", **shape)))
    assert not [f"{r.case.name}: {r.reason}" for r in results if r.verdict == "fail"]
    if skipped is not None:
        assert {r.reason for r in results if r.verdict == "skip"} == skipped


def test_every_case_says_what_it_rests_on() -> None:
    for name, one in CASES.items():
        assert one.promise.endswith("."), name
        assert "{}" not in one.promise, name
        assert "KVM API" in one.source or "Arm ARM" in one.source, name
    assert len({one.promise for one in CASES.values()}) == len(CASES), "two cases promise the same"


def test_a_case_that_fails_says_what_was_expected_and_seen(kvm: Kvm) -> None:
    def wrong(rig: Rig) -> None:
        code = rig.code(asm.NOP, rig.finish())
        rig.breaks(code.at(1))

    (result,) = run_cases([of(wrong)], kvm)
    assert result.verdict == "fail"
    assert result.expected
    assert "a breakpoint exit at" in result.expected
    assert result.seen
    assert "ran to its end" in result.seen


def test_an_exception_in_a_case_is_a_failure_with_its_errno(kvm: Kvm) -> None:
    (result,) = run_cases([of(lambda rig: rig.debug(1 << 30))], kvm)
    assert result.verdict == "fail"
    assert "EINVAL" in result.reason
    assert result.traceback


def test_a_positive_control_gives_the_guest_back(kvm: Kvm) -> None:
    def controlled(rig: Rig) -> None:
        code = rig.code(asm.add(0, 0, 1), asm.str_(0, 1), rig.finish(0))
        rig.set_x(1, DATA)
        with rig.positive_control():
            rig.set_reg("CONTEXTIDR_EL1", 5)
            rig.debug(USE_HW, (), watchpoint(DATA, 8))
            rig.watches(code.at(1), DATA, DATA + 7, write=True)
        rig.expect("CONTEXTIDR_EL1", rig.reg("CONTEXTIDR_EL1"), 0)
        with rig.positive_control():
            rig.debug(0)
            rig.done(value=1)
        rig.expect("PC", rig.pc, code.at(0))
        rig.done(value=1)

    (result,) = run_cases([of(controlled)], kvm)
    assert result.verdict == "pass", result.reason


def test_a_positive_control_that_does_not_stop_is_a_failure(kvm: Kvm) -> None:
    def uncontrolled(rig: Rig) -> None:
        code = rig.code(asm.NOP, rig.finish())
        with rig.positive_control():
            rig.breaks(code.at(0))
        rig.done()

    (result,) = run_cases([of(uncontrolled)], kvm)
    assert result.verdict == "fail"
    assert result.expected
    assert result.expected.startswith("as a positive control, a breakpoint exit at")


@pytest.mark.parametrize("loop", [asm.b(0), asm.WFI])
def test_a_guest_that_runs_for_ever_is_kicked_out(kvm: Kvm, loop: int) -> None:
    def endless(rig: Rig) -> None:
        rig.code(loop, asm.b(-4))
        rig.run()

    (result,) = run_cases([of(endless)], kvm, seconds=0.5)
    assert result.verdict == "fail"
    assert "stop by itself" in result.reason


def test_the_watchdog_kicks_without_a_limit_of_instructions(
    kvm: Kvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guestdbg.check.rig.INSTRUCTIONS", 1 << 60)

    def endless(rig: Rig) -> None:
        rig.code(asm.b(0))
        rig.run()

    (result,) = run_cases([of(endless)], kvm, seconds=0.3)
    assert "stop by itself" in result.reason


def test_names_are_checked() -> None:
    with pytest.raises(ValueError, match="not a name"):
        case("Wrong Name", "A.", "B")(lambda rig: None)
    name = next(iter(CASES))
    with pytest.raises(ValueError, match="already"):
        case(name, "A.", "B")(lambda rig: None)


@pytest.mark.parametrize(
    ("release", "verdict"),
    [
        ("5.18.0", "skip"),
        ("5.19.0-rc1", "pass"),
        ("6.13.9", "pass"),
        ("6.14", "skip"),
        ("6.14.0", "skip"),
    ],
)
def test_what_is_promised_by_some_releases_only(
    kvm: Kvm, monkeypatch: pytest.MonkeyPatch, release: str, verdict: str
) -> None:
    monkeypatch.setattr(kvm, "linux", release)
    some = replace(of(lambda rig: None), since=(5, 19), until=(6, 14))
    (result,) = run_cases([some], kvm)
    assert result.verdict == verdict
    if verdict == "skip":
        assert f"(this is {release})" in result.reason


def test_patterns() -> None:
    assert len(select()) == len(CASES)
    assert {c.topic for c in select(["breakpoint.register"])} == {"breakpoint"}
    assert [c.name for c in select(["control.accepts.off"])] == ["control.accepts.off"]
    assert [c.name for c in select(["capability.*version"])] == ["capability.api-version"]
    assert not [c for c in select(["breakpoint.*"]) if not c.name.startswith("breakpoint.")]
    with pytest.raises(NoSuchCase, match="topics are"):
        select(["nonsense"])


def test_json() -> None:
    status, output = run("--json", "-k", "capability")
    assert status == 0
    document = json.loads(output)
    assert document["provider"] == "soft"
    assert document["counts"]["pass"] == len(document["cases"]) > 5
    assert document["capabilities"]["KVM_CAP_SET_GUEST_DEBUG"] == 1
    assert document["registers"]["ID_AA64DFR0_EL1"].startswith("0x")
    for value in document["cases"]:
        assert {"name", "verdict", "reason", "promise", "source", "seconds"} <= set(value)


def test_the_name_of_the_board(tmp_path: Path) -> None:
    assert report.board(tmp_path) is None
    dmi = tmp_path / "sys/class/dmi/id/product_name"
    dmi.parent.mkdir(parents=True)
    dmi.write_text("Mt. Jade\n")
    assert report.board(tmp_path) == "Mt. Jade"
    model = tmp_path / "proc/device-tree/model"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert report.board(tmp_path) == "Raspberry Pi 5 Model B Rev 1.0"


def test_a_failure_is_printed_and_sets_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(rig: Rig) -> None:
        raise Failure("one thing", "another")

    monkeypatch.setitem(CASES, "test.wrong", of(wrong, "test.wrong"))
    status, output = run("-k", "test.wrong")
    assert status == 1
    assert "expected one thing; seen another" in output
    assert "A promise." in output
    status, output = run("--json", "-k", "test.wrong")
    assert status == 1
    assert json.loads(output)["cases"][0]["expected"] == "one thing"


def test_how_things_stood_at_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last KVM_SET_GUEST_DEBUG and exit, the guest's registers and code: --verbose and --json
    have them, and the short output says how to get them."""

    def wrong(rig: Rig) -> None:
        rig.another_vcpu()
        code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())
        rig.set_x(1, DATA)
        rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8))
        rig.watches(code.at(1), DATA + 1, write=True)

    monkeypatch.setitem(CASES, "test.wrong", of(wrong, "test.wrong"))
    status, output = run("-k", "test.wrong")
    assert status == 1
    assert "guestdbg check --provider soft -v -k test.wrong\n" in output
    assert "DBGWCR0" not in output
    status, output = run("-v", "-k", "test.wrong")
    for words in (
        "asked ENABLE | USE_HW\n",
        f"DBGWVR0 {DATA:#x}, DBGWCR0 0x1ff7 (BAS=0xff LSC=0x2 PAC=0x3 E=0x1)\n",
        "exit  KVM_EXIT_DEBUG: Watchpoint exception",
        "guest vCPU 0\n",
        f"x1 {DATA:#x}",
        "-> 0x40000004  f9000020  str x0, [x1]\n",
    ):
        assert words in output
    document = json.loads(run("--json", "-k", "test.wrong")[1])
    how = document["cases"][0]["situation"]
    assert how["vcpu"] == 0
    assert how["registers"]["pc"] == "0x40000004"
    assert [line[:2] for line in how["program"]].count("->") == 1


def test_a_failure_before_anything_ran_and_one_out_of_all_code(kvm: Kvm) -> None:
    def at_once(rig: Rig) -> None:
        raise Failure("one thing", "another")

    def astray(rig: Rig) -> None:
        rig.code(asm.br(0))
        rig.set_x(0, 2)
        rig.run()
        rig.pc = 2
        raise Failure("one thing", "another")

    for function in (at_once, astray):
        (result,) = run_cases([of(function)], kvm)
        assert result.situation is not None
        assert result.situation["asked"] == ["nothing"]
        assert result.situation["program"] == []
        assert ("exit" in result.situation) == (function is astray)


def test_skips_are_summed_up_by_their_reasons() -> None:
    status, output = run("-k", "linked.to")
    assert status == 0
    assert len([line for line in output.splitlines() if line.startswith("skip")]) == 1
    assert " ".join(output.split()).startswith(
        "skip linked.to-each-context-breakpoint.2-from-the-highest and 13 more: "
        "there are 2 context-aware breakpoints provider soft"
    )
    _, output = run("-v", "-k", "linked.to")
    assert len([line for line in output.splitlines() if line.startswith("skip")]) == 14


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_unless_switched_off(monkeypatch: pytest.MonkeyPatch, no_color: str) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    arguments = ["check", "--provider", "soft", "-v", "-k", "linked"]
    output = CliRunner().invoke(main, arguments, color=True).output
    for verdict in ("pass", "skip"):
        assert (f"m{verdict}\x1b" in output) is not bool(no_color)
        assert (f"\n{verdict}  linked" in output) is bool(no_color)


def test_an_instruction_that_is_to_be_undefined_is_no_warning(
    kvm: Kvm, caplog: pytest.LogCaptureFixture
) -> None:
    results = list(run_cases(select(["step.into.undefined"]), kvm))
    assert [r.verdict for r in results] == ["pass", "pass"]
    assert not caplog.records


def test_list() -> None:
    status, output = run("--list", "-k", "capability", "--verbose")
    assert status == 0
    assert "capability.api-version" in output
    assert "[KVM API 4.1]" in output
    status, output = run("--list", "--json")
    assert {c["name"] for c in json.loads(output)["cases"]} == set(CASES)


def test_a_pattern_that_matches_nothing_is_said() -> None:
    status, output = run("-k", "nonsense")
    assert status == 1
    assert "no case matches 'nonsense'" in output


def test_cases_know_only_the_seam() -> None:
    package = Path(__file__).parents[2] / "src" / "guestdbg" / "check"
    for source in package.rglob("*.py"):
        assert "kvm.soft" not in source.read_text(), source
