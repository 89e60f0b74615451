"""Thousands of runs of one guest: the same results everywhere, and each can be repeated."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import guestdbg
from guestdbg.campaign import Campaign, CampaignError, Case
from guestdbg.campaign.worker import digest_of
from guestdbg.debugger import SavedGuest
from guestdbg.errors import GuestdbgError
from guestdbg.guest_campaign import (
    At,
    CaseRun,
    Change,
    ConsoleInput,
    DiskData,
    DoesNotFit,
    Memory,
    Outcome,
    Registers,
    Replay,
)
from guestdbg.guest_campaign.campaign_file import read_campaign_file
from guestdbg.guest_campaign.changes import changes_of
from tests.campaign.dask_cluster import cluster_of, distributed
from tests.cli.guests import ROOT
from tests.debugger.compiled import needs_gcc
from tests.guest_campaign import parser

pytestmark = needs_gcc


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """A campaign that one process has run."""
    campaign: Campaign = parser.campaign(tmp_path_factory.mktemp("parser") / "c")
    campaign.run(workers=0)
    return campaign


def rows(campaign: Campaign) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = campaign.to_arrow().to_pylist()
    return found


def test_every_planted_bug_is_found_once_and_counted(done: Campaign) -> None:
    summary = done.summary()
    kinds = {each.signature.partition(": ")[0] for each in summary.failures}
    assert kinds == {"crash", "bug", "exception", "limit", "classifier error"}
    crash = next(each for each in summary.failures if each.outcome == "crash")
    assert crash.signature == "crash: overflow < parse < main < _start"
    assert crash.minimised is not None
    assert "bytes at buffer: 43 4d" in crash.minimised.text
    assert "f0 " in crash.minimised.text
    assert "typed" not in crash.minimised.text  # what is typed does not matter for it
    spin = next(each for each in summary.failures if each.outcome == "limit")
    assert spin.signature == "limit: in spin"
    wild = next(each for each in summary.failures if each.outcome == "exception")
    assert "Data Abort" in wild.signature
    assert "wild" in wild.signature
    bugs = {each.signature for each in summary.failures if each.outcome == "bug"}
    assert bugs == {"bug: assertion failed: x == 3", "bug: BUG"}
    (error,) = [each for each in summary.failures if each.outcome == "classifier error"]
    assert (error.case, error.count) == (41, 1)
    assert "KeyError: 'forty-one'" in error.evidence
    assert summary.counts["ok"] > 10
    for row in rows(done):
        if row["outcome"] == "limit":
            assert row["instructions"] == 20_000
        if row["outcome"] == "crash":
            assert row["location"].startswith("overflow")


def test_results_do_not_depend_on_workers_order_or_executor(done: Campaign, tmp_path: Path) -> None:
    processes = parser.campaign(tmp_path / "processes")
    processes.run(workers=2)
    with ThreadPoolExecutor(2) as executor:
        threads = parser.campaign(tmp_path / "threads")
        threads.run(executor, send_files=True)
    with (
        cluster_of(1, tmp_path / "dask", threads=2) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        dask = parser.campaign(tmp_path / "on-dask")
        dask.run(client.get_executor(), send_files=True)
    expected = (done.directory / "results.parquet").read_bytes()
    for other in (processes, threads, dask):
        assert (other.directory / "results.parquet").read_bytes() == expected
        assert other.summary() == done.summary()
    # One case alone, after others that left the guest in every possible state.
    for number in (199, 3, 198, 3):
        result, row = done.play(number), rows(done)[number]
        assert (result.outcome, *result.values) == tuple(
            row[name] for name in ("outcome", "instructions", "pc", "location")
        )


def test_a_case_is_run_again_and_goes_back(done: Campaign) -> None:
    crash = next(each for each in done.summary().failures if each.outcome == "crash")
    with Replay(done, crash.case) as again:
        assert again.result.outcome == "crash"
        assert again.differences == {}
        assert again.run is not None
        assert again.guest.locate(again.guest.cpu.pc).function == "overflow"
        assert again.guest.history.on
        written = again.guest.read(again.guest.symbol("buffer").address, 2)
        assert written == b"CM"
        again.guest.goto(again.guest.history.begin)
        assert again.guest.locate(again.guest.cpu.pc).function == "parse"
    printed: list[bytes] = []
    with Replay(done, crash.case, minimised=True, history=False, console=printed.append) as least:
        assert (least.result.outcome, least.result.signature) == ("crash", crash.signature)
        assert len(least.run.variation) == 1 if least.run is not None else False
    with pytest.raises(CampaignError, match="was not minimised"):
        Replay(done, 1, minimised=True)
    with pytest.raises(CampaignError, match="there is no case 200"):
        Replay(done, 200)


# ---- changes ---------------------------------------------------------------------------------


class Skip(Change):
    """The next instruction is skipped."""

    def apply(self, guest: guestdbg.Guest) -> None:
        guest.cpu.pc += 4


def outcomes(tmp_path: Path, variations: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
    campaign = parser.campaign(tmp_path / "c", None, variations, **({"classify": None} | options))
    campaign.run(workers=0, minimise=0)
    return rows(campaign)


def test_changes_of_every_kind(tmp_path: Path) -> None:
    crash = Memory("buffer", b"CMa\xf0\x90a", "length")
    harmless = Memory("buffer", b"CMbb", "length")
    with parser.started() as guest:
        buffer, length = (guest.symbol(name).address for name in ("buffer", "length"))
    found = outcomes(
        tmp_path,
        [
            crash,
            harmless,
            Memory(buffer, b"CMa\xf0\x90a\0\0", length),  # the length is u64 at an address
            [Registers({"x5": buffer, "x6": 0}), Memory("[x5]", b"CMa\xf0\x90a", "x6")],
            [harmless, At("main+0x40", crash)],
            [Memory("length", b"\x06\0\0\0"), At(0, Memory("buffer", b"CMa\xf0\x90a"))],
            [harmless, At("overflow", crash)],  # it never comes there
            [At("parse", Registers({"pc": 0x7000_0000}))],
            [crash, At("overflow", Skip(), count=1)],
            Registers({"pc": 0, "x30": 0}),
            [],
        ],
    )
    names = [row["outcome"] for row in found]
    assert names[:4] == ["crash", "exit", "crash", "exit"]
    assert names[5:7] == ["crash", "exit"]
    assert names[10] == "exit"
    assert found[7]["outcome"] == "exception"
    assert found[1] | {"case": 0, "seed": 0} == found[6] | {"case": 0, "seed": 0}


def test_a_later_change_is_made_where_it_says(tmp_path: Path) -> None:
    """Step by step: a change after n instructions is one before instruction n."""
    with parser.started() as guest:
        guest.write(guest.symbol("buffer").address, b"CMabcd")
        guest.write_u32(guest.symbol("length").address, 6)
        start = guest.snapshot()
        expected = []
        for count in range(12):
            guest.restore(start)
            if count:
                guest.step(count)
            guest.cpu.pc += 4
            stop = guest.run(max_instructions=20_000 - count)
            expected.append((stop.reason, stop.pc))
    base = Memory("buffer", b"CMabcd", "length")
    found = outcomes(
        tmp_path,
        [[base, At(count, Skip())] for count in range(12)],
        points={},
        console={},
        exceptions=False,
        failures=(),
    )
    assert [(row["outcome"], row["pc"]) for row in found] == expected


def test_variations_that_do_not_fit(tmp_path: Path) -> None:
    class Odd(Change):
        def apply(self, guest: guestdbg.Guest) -> None:
            raise LookupError("odd")

    def vary(case: Case) -> Any:
        if case.number == 9:
            raise IndexError("nothing for nine")
        return [
            Memory("buffer", bytes(65)),
            Memory("buffer", bytes(8), capacity=4),
            Memory("no_such_name", b"x"),
            Memory(0x7000_0000_0000, b"x"),
            Memory("buffer", bytes(3), "buffer"),
            Registers({"x99": 1}),
            Registers({"x0": 1}, vcpu=4),
            DiskData(0, b"x"),
            "no change",
            None,
            Odd(),
            At("no_such_name", Registers({"x0": 1})),
            At(5, Memory("buffer", bytes(65))),
        ][case.number]

    campaign = parser.campaign(tmp_path / "c", 13, vary, classify=None)
    summary = campaign.run(workers=0)
    found = rows(campaign)
    assert [row["outcome"] for row in found] == [
        *["does not fit"] * 9,
        *["variation error"] * 2,
        *["does not fit"] * 2,
    ]
    assert found[0]["detail"] == "65 bytes do not fit in 64 at 'buffer'"
    assert "no_such_name" in found[2]["detail"]
    assert "'buffer' has 64 bytes, and is no number" in found[4]["detail"]
    assert found[9]["detail"] == "IndexError: nothing for nine"
    assert found[10]["detail"] == "LookupError: odd"
    (fit,) = [each for each in summary.failures if each.signature == "does not fit"]
    assert fit.count == 11
    with pytest.raises(CampaignError, match="2 cases, and 1 variations"):
        parser.campaign(tmp_path / "d", 2, [Memory("buffer", b"x")])


def test_data_on_a_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(8192))

    def classify(run: CaseRun) -> str:
        image = run.guest.board.virtio[0].backend.image  # type: ignore[union-attr]
        data = bytearray(512)
        image.read(512, [memoryview(data)])
        return data[:6].decode()

    variations = [DiskData(512, b"abcdef"), DiskData(514, b"xy"), DiskData(8191, b"zz"), []]
    with guestdbg.load(
        parser.elf(), provider="soft", console=None, drives=[f"{disk},overlay"]
    ) as guest:
        campaign = guest.campaign(tmp_path / "c", variations, classify=classify)
    campaign.run(workers=0)
    found = rows(campaign)
    assert [row["outcome"] for row in found] == [
        *("abcdef", "\0\0xy\0\0", "does not fit", "\0" * 6)
    ]
    assert disk.read_bytes() == bytes(8192)


# ---- rules -----------------------------------------------------------------------------------


def test_limits_and_classifiers(tmp_path: Path) -> None:
    spin = Memory("buffer", b"CMaa\xf2\xf2", "length")
    (row,) = outcomes(tmp_path, [spin], guest_seconds=0.05, max_instructions=10**9)
    assert row["outcome"] == "limit"
    assert row["instructions"] % 1_000_000 == 0

    def classify(run: CaseRun) -> Outcome | str | None:
        return [
            Outcome("seen", True, "by me", run.text.strip()),
            "ok",
            None,
            Outcome("ok"),
            3,
        ][run.case.number]  # type: ignore[return-value]

    harmless = Memory("buffer", b"CMbb", "length")
    (tmp_path / "e").mkdir()
    found = outcomes(tmp_path / "e", [harmless] * 5, classify=classify)
    assert [row["outcome"] for row in found] == ["seen", "ok", "exit", "ok", "classifier error"]
    assert found[0]["signature"] == "by me"
    assert found[0]["detail"] == "parsed done"
    assert "has returned 3" in found[4]["detail"]


def test_what_a_classifier_leaves_does_not_change_the_next_case(tmp_path: Path) -> None:
    def classify(run: CaseRun) -> str:
        run.guest.break_("main+8")
        run.guest.write(run.guest.symbol("sum").address, b"\xff" * 4)
        return str(len(run.guest.points))

    harmless = Memory("buffer", b"CMbb", "length")
    found = outcomes(tmp_path, [harmless] * 3, classify=classify)
    assert len({row["outcome"] for row in found}) == 1
    assert len({row["instructions"] for row in found}) == 1


def test_mistakes_are_reported_when_the_campaign_is_made(tmp_path: Path) -> None:
    for options, expected in (
        ({"points": {"no_such": "crash"}}, "no_such"),
        ({"points": {"parse if": "crash"}}, "condition|if"),
        ({"watches": {"buffer:q": "crash"}}, "buffer"),
        ({"console": {"(": "bug"}}, "no regular expression"),
        ({"max_instructions": 0}, "must be above 0"),
        ({"guest_seconds": -1}, "must be above 0"),
    ):
        with pytest.raises(GuestdbgError, match=expected):
            parser.campaign(tmp_path / "c", 10, **options)
        assert not (tmp_path / "c").exists()
    with pytest.raises(CampaignError, match="vary is 3"):
        parser.campaign(tmp_path / "c", 10, 3)
    with guestdbg.load(parser.elf(), provider="soft", console=None) as guest:
        guest.run()
        with pytest.raises(CampaignError, match="the guest has ended"):
            guest.campaign(tmp_path / "c", parser.vary, 10)


def test_snapshots_of_others(done: Campaign, tmp_path: Path) -> None:
    """What is damaged, of another version or no snapshot ends the run with its reason."""
    job = done.job
    contents = done.contents(done.manifest.files[0])
    with SavedGuest(contents) as saved:
        assert saved.manifest.images[0].contents  # the symbols travel with it
    version = bytearray(contents)
    version[16] = 99
    for wrong, expected in (
        (contents[: len(contents) // 2], "truncated"),
        (bytes(version), "version 99"),
        (contents[:100] + b"x" + contents[101:], "damaged"),
        (b"nothing", "not a snapshot file"),
    ):
        job.start = digest_of(wrong)  # type: ignore[attr-defined]
        directory = tmp_path / job.start  # type: ignore[attr-defined]
        other = Campaign.create(directory, job, 5, files=[wrong])
        with pytest.raises(CampaignError, match=expected):
            other.run(workers=0)
        assert other.summary().done == 0
    whole = done.directory / "files" / done.manifest.files[0]
    kept = whole.read_bytes()
    whole.write_bytes(kept[:-1])
    try:
        with pytest.raises(CampaignError, match="its digest is not its name"):
            done.run(workers=0)
        assert done.summary().done == 200
    finally:
        whole.write_bytes(kept)


def test_functions_of_a_script_travel(tmp_path: Path) -> None:
    """The ten lines of docs/campaigns.md: functions of __main__, and closures."""
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import guestdbg
from guestdbg.guest_campaign import Memory

SIZE = 6
with guestdbg.load({str(parser.elf())!r}, provider="soft", console=None) as guest:
    guest.run(until="parse")
    campaign = guest.campaign(
        {str(tmp_path / "c")!r},
        lambda case: Memory("buffer", b"CM" + case.random.randbytes(SIZE), "length"),
        100,
        points={{"overflow": "crash"}},
        classify=lambda run: "long" if run.instructions > 3 * SIZE else None,
        max_instructions=20_000,
    )
print(campaign.run(workers=2).done)
"""
    )
    result = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout == "100\n"


# ---- files -----------------------------------------------------------------------------------


def test_a_campaign_as_toml(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "a").write_bytes(b"CMabcd")
    (tmp_path / "samples" / "b").write_bytes(b"CM\xf0aaa")
    (tmp_path / "guest.elf").write_bytes(parser.elf().read_bytes())
    text = """
title = "the parser"
[guest]
file = "guest.elf"
to = "parse"
[cases]
count = 200
seed = 3
[[vary]]
memory = "buffer"
length_at = "length"
samples = "samples/*"
most = 64
[[vary]]
console = true
random = 8
[[vary]]
register = "x20"
at = [1, 30]
[points]
overflow = "crash"
[console]
"^done" = "ok"
[limits]
instructions = 20_000
[outcomes]
exceptions = true
failures = ["crash", "exception"]
"""
    file = tmp_path / "parser.toml"
    file.write_text(text)
    campaign = read_campaign_file(file).create(tmp_path / "c", cases=150)
    summary = campaign.run(workers=0)
    assert (summary.done, campaign.manifest.title, campaign.manifest.seed) == (150, "the parser", 3)
    assert summary.counts["ok"] > 10
    assert {each.outcome for each in summary.failures} <= {"crash", "exception"}
    for wrong, expected in (
        (text.replace("[limits]", "[limit]"), "'limit' is unknown; there are title"),
        (text.replace('to = "parse"', 'to = "overflow"'), "does not come to 'overflow'"),
        (text.replace("samples/*", "none/*"), "there is no file 'none/\\*'"),
        (text.replace("count = 200", 'count = "many"'), "count is 'many': it must be a number"),
        (text.replace("random = 8", "random = [9, 3]"), r"random is \[9, 3\]"),
        (text.replace('memory = "buffer"', "disk = 0\nmemory = 1"), "names one of"),
        (text.replace("[[vary]]", "[[vari]]"), "'vari' is unknown"),
        (text.replace("[cases]", "[cases"), "no TOML"),
        (text.replace('file = "guest.elf"', 'file = "other.elf"'), r"other\.elf"),
        (text.replace("instructions = 20_000", 'instructions = "x"'), "must be above 0"),
    ):
        file.write_text(wrong)
        with pytest.raises(GuestdbgError, match=expected):
            read_campaign_file(file).create(tmp_path / "d")
        assert not (tmp_path / "d").exists()


def test_a_campaign_as_python(tmp_path: Path) -> None:
    file = tmp_path / "parser.py"
    text = f"""
import guestdbg
from guestdbg.guest_campaign import Memory
SETTINGS = {{"cases": 40, "points": {{"overflow": "crash"}}, "max_instructions": 20_000}}
class Mine(Memory):
    pass
def start():
    guest = guestdbg.load({str(parser.elf())!r}, provider="soft", console=None)
    guest.run(until="parse")
    return guest
def vary(case):
    return Mine("buffer", b"CM" + case.random.randbytes(6), "length")
def classify(run):
    return "mine" if run.outcome == "exit" else None
"""
    file.write_text(text)
    campaign = read_campaign_file(file).create(tmp_path / "c")
    assert campaign.run(workers=2).counts["mine"] > 0
    for wrong, expected in (
        (text.replace("def vary", "def very"), r"defines start\(\)"),
        (text + "\nraise KeyError(3)", r"parser\.py, line \d+: KeyError: 3"),
        (text.replace("    return guest", "    return 3"), r"start\(\) has returned 3"),
        (text.replace('"cases": 40', '"case": 40'), "case"),
        (text.replace("SETTINGS = {", "SETTINGS = 3, {"), "must be a dict"),
        ("def f(:", "SyntaxError"),
    ):
        file.write_text(wrong)
        with pytest.raises(CampaignError, match=expected):
            read_campaign_file(file).create(tmp_path / "d")
    with pytest.raises(CampaignError, match=r"ends in \.py or \.toml"):
        read_campaign_file(tmp_path / "parser.txt")
    with pytest.raises(CampaignError, match="no such file"):
        read_campaign_file(tmp_path / "none.py")


def test_own_changes_say_why_they_do_not_fit() -> None:
    with pytest.raises(DoesNotFit, match="is no change of a guest"):
        changes_of("text")  # type: ignore[arg-type]
    assert str(ConsoleInput(b"a\r")) == "2 bytes typed: 'a\\r'"
    assert str(At(1000, Registers({"x0": 5}))) == "after 1,000 instructions: x0=0x5"
