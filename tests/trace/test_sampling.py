"""Samples are where the guest was, the same in each run; the files keep to others' rules."""

import json
from collections import Counter
from pathlib import Path

import pytest

import guestdbg
from guestdbg.trace import Profile, SamplingError
from guestdbg.trace.sampling.profile import MOST_STACKS, OTHERS
from tests.cli.guests import EXAMPLES, problem
from tests.cli.guests import guestdbg as command

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

QUEUE = EXAMPLES / "queue.elf"


def test_samples_are_where_single_steps_come_by() -> None:
    every, samples = 137, 40
    with guestdbg.load(QUEUE, console=None, provider="soft") as guest:
        sampler = guest.sample(every)
        assert sampler.run(max_instructions=every * samples + 5).reason == "limit"
    with guestdbg.load(QUEUE, console=None, provider="soft") as guest:
        found: Counter[tuple[str, ...]] = Counter()
        for number in range(1, every * samples + 1):
            guest.step()
            if number % every == 0:
                frames = guest.cpu.backtrace()
                found[tuple(f.location.function or "" for f in reversed(frames))] += 1
    assert sampler.profile.stacks == found
    assert sampler.profile.samples == samples


@pytest.mark.parametrize("vcpus", [1, 2, 4])
def test_the_same_run_has_the_same_samples_whatever_interrupts_it(vcpus: int) -> None:
    def profile(*, pieces: bool) -> Profile:
        with guestdbg.load(
            EXAMPLES / "smp.elf", vcpus=vcpus, console=None, provider="soft"
        ) as guest:
            sampler = guest.sample(5000)
            left = 400_000
            while left > 0:
                part = min(left, 7_777 if pieces else left)
                before = sum(cpu.vcpu.instructions for cpu in guest.vcpus)
                stop = sampler.run(max_instructions=part)
                left -= sum(cpu.vcpu.instructions for cpu in guest.vcpus) - before
                if stop.reason != "limit":
                    break
            return sampler.profile

    whole = profile(pieces=False)
    assert whole.stacks == profile(pieces=False).stacks
    assert whole.samples == profile(pieces=True).samples
    firsts = {stack[0] for stack in whole.stacks}
    assert firsts <= {f"vCPU {n}" for n in range(vcpus)} if vcpus > 1 else "vCPU 0" not in firsts


def test_points_stop_a_run_with_samples_and_none_is_lost() -> None:
    with guestdbg.load(QUEUE, console=None, provider="soft") as guest:
        sampler = guest.sample(1000)
        point = guest.break_("job_finish", ignore=999)
        assert sampler.run().reason == "hit"
        point.delete()
        assert sampler.run(timeout=0).reason in ("timeout", "limit")
        assert sampler.run().reason == "exit"
        assert sampler.profile.samples == guest.vcpus[0].vcpu.instructions // 1000


def test_the_files(tmp_path: Path) -> None:
    profile = Profile("a; title", 10)
    stacks = {("main", "f;\ng"): 3, ("main",): 2, ("main", "\udcff"): 1}
    for stack, count in stacks.items():
        for _ in range(count):
            profile.add(stack)
    profile.write(tmp_path / "p.folded")
    lines = (tmp_path / "p.folded").read_text().splitlines()
    assert lines == ["main 2", "main;f: g 3", "main;\\udcff 1"]
    for line in lines:  # flamegraph.pl's rule
        names, _, count = line.rpartition(" ")
        assert count.isdecimal()
        assert all(names.split(";"))
    profile.write(tmp_path / "p.json")
    document = json.loads((tmp_path / "p.json").read_text())
    shown = document["profiles"][0]
    names = [frame["name"] for frame in document["shared"]["frames"]]
    read = {
        tuple(names[n] for n in sample): weight // 10
        for sample, weight in zip(shown["samples"], shown["weights"], strict=True)
    }
    assert read == {("main", "f;\ng"): 3, ("main",): 2, ("main", "\\udcff"): 1}
    assert (shown["type"], shown["endValue"]) == ("sampled", 60)
    with pytest.raises(FileExistsError):
        profile.write(tmp_path / "p.json")
    with pytest.raises(SamplingError, match=r"\.folded"):
        profile.write(tmp_path / "p.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.folded", "p.json"]


def test_a_guest_cannot_make_it_grow() -> None:
    profile = Profile("many", 100)
    for number in range(MOST_STACKS + 50):
        profile.add((f"f{number}",))
    profile.add(("f0",))
    assert len(profile.stacks) == MOST_STACKS + 1
    assert profile.stacks[OTHERS] == 50
    assert profile.samples == MOST_STACKS + 51


def test_bad_requests() -> None:
    with guestdbg.load(QUEUE, console=None, provider="soft") as guest:
        for every in (0, 99, -5, 1.5, True):
            with pytest.raises(SamplingError, match="100 is the least"):
                guest.sample(every)  # type: ignore[arg-type]


def test_the_command(tmp_path: Path) -> None:
    folded = tmp_path / "queue.folded"
    run = ("run", "examples/queue.elf", "--sample", str(folded))
    result = command(*run, "--sample-every", "10000")
    assert result.returncode == 0, result.stderr
    assert "859 samples, one every 10,000 instructions" in result.stderr
    counts = [int(line.rpartition(" ")[2]) for line in folded.read_text().splitlines()]
    assert sum(counts) == 859
    before = folded.read_bytes()
    assert "add --sample-overwrite" in problem(*run)
    assert folded.read_bytes() == before
    assert command(*run, "--sample-overwrite", "--max-instructions", "5000000").returncode == 124
    assert sum(int(n.rpartition(" ")[2]) for n in folded.read_text().splitlines()) == 5
    assert ".folded" in problem("run", "examples/queue.elf", "--sample", str(tmp_path / "q.svg"))
    alone = command("run", "examples/queue.elf", "--sample-every", "1000")
    assert (alone.returncode, "without --sample" in alone.stderr) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["queue.folded"]
