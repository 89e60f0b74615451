"""A trace of a Linux guest: its tasks, their system calls and the kernel's functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trace.timelines import read

from .shell import Shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_contexts_lead_to_the_current_task_of_each_vcpu(shell: Shell) -> None:
    guest = shell.guest
    with guest.trace(what=["contexts"]) as trace:
        printed = shell.ask("sh -c 'echo $$'; sleep 0.05")
        events = trace.events
    assert trace.complete
    kernel = [event for event in events if event.detail == "SP_EL0" and event.value >> 63]
    for cpu in guest.vcpus:
        last = [event.value for event in kernel if event.vcpu == cpu.id][-1]
        assert guest.linux.current(cpu).address == last
    assert {event.vcpu for event in kernel} == {0, 1}
    assert int(printed.split()[0]) > 1
    assert [event.time for event in events] == sorted(event.time for event in events)


def test_a_timeline_of_tasks(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "linux.pftrace"
    guest = shell.guest
    with guest.trace(to=path, what=["calls", "exceptions", "contexts", "console"]) as trace:
        pid = int(shell.ask("sh -c 'echo $$'").split()[0])
    assert trace.complete
    tracks = read(path)
    tasks = {name: track for name, track in tracks.items() if track.parent == "tasks"}
    (mine,) = [track for name, track in tasks.items() if name.endswith(f"({pid})")]
    names = {name for name, *_ in mine.slices}
    assert "SVC" in names
    # What lies in a system call is the kernel's, and what it is in is the program's.
    calls = [(begin, end, depth) for name, begin, end, depth in mine.slices if name == "SVC"]
    assert calls
    inside = {
        name
        for name, begin, end, depth in mine.slices
        for since, until, level in calls
        if since <= begin and end <= until and depth > level
    }
    assert any("do_el0_svc" in name for name in inside), sorted(inside)[:40]
    assert any("write" in name for name in inside)
    assert len(tasks) > 3
    assert tracks["vCPU 0: task"].slices
    assert any(str(pid) in text for text, _, _ in tracks["console"].instants)
