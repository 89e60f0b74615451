"""Debian's kernels to a shell, on one and four vCPUs, with both interrupt controllers."""

import re

import pytest

from tests.linux.support import BOOTARGS, commands, linux, run


@pytest.mark.parametrize(
    ("suite", "vcpus", "gic"),
    [("bookworm", 1, 3), ("bookworm", 4, 2), ("sid", 1, 2), ("sid", 4, 3)],
)
def test_to_a_shell_and_powered_off(suite: str, vcpus: int, gic: int) -> None:
    found = run(
        suite,
        commands(b"echo $((6*7))", b"nproc", b"uname -r", b"cat /proc/interrupts", b"dmesg"),
        vcpus=vcpus,
        gic=gic,
    )
    assert (found.stop.reason, found.stop.detail) == ("exit", "powered off"), found.text
    assert found.answer("echo $((6*7))") == "42\n"
    assert found.answer("nproc") == f"{vcpus}\n"
    assert found.answer("uname -r") == f"{linux(suite).release}\n"
    interrupts = found.answer("cat /proc/interrupts")
    gic_name = {2: "GIC-0", 3: "GICv3"}[gic]
    timer = re.search(rf":((?: +\d+)+) +{gic_name} +27 Level +arch_timer$", interrupts, re.M)
    assert timer is not None, interrupts
    assert [int(count) > 0 for count in timer[1].split()] == [True] * vcpus
    assert re.search(rf" {gic_name} +33 Level +uart-pl011$", interrupts, re.M), interrupts
    assert not re.search(r"Unknown|BUG|WARNING|Oops|Call trace", found.answer("dmesg"))


def test_boots_are_equal() -> None:
    """The same output and the same number of instructions each time, with a dialogue."""
    runs = [run(dialogue=commands(b"cat /proc/uptime"), vcpus=2, seed=1) for _ in range(3)]
    assert runs[0].stop.detail == "powered off", runs[0].text
    assert len({(one.output, one.instructions) for one in runs}) == 1
    assert runs[0].instructions > 100_000_000


def test_a_seed_moves_the_kernel() -> None:
    """Without a seed there is no KASLR."""

    def text_at(**options: object) -> int:
        line = b"grep ' _stext$' /proc/kallsyms"
        found = run(dialogue=commands(line), bootargs=BOOTARGS, **options)
        return int(found.answer(line.decode()).split()[0], 16)

    plain = text_at()
    assert text_at(seed=1) != plain
    assert plain & 0xFFFF_0000 == 0x0801_0000, "where Linux 6.1 is linked"
