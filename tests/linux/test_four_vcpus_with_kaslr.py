"""Points at names of Debian's newest kernel, on four vCPUs, made before it has moved itself."""

from __future__ import annotations

import logging

import pytest

from guestdbg.debugger import Hit

from .support import load

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

SECONDS = 200


def test_points_at_names(caplog: pytest.LogCaptureFixture) -> None:
    came_up: set[tuple[int, int]] = set()
    ran: list[tuple[int, int, int]] = []
    with load("sid", vcpus=4, seed=7) as guest:
        with caplog.at_level(logging.WARNING):
            forks = guest.watch("total_forks", 8)
            secondary = guest.break_("secondary_start_kernel")
            last = guest.break_("kernel_init")
            # The addresses are not mapped yet, but the kernel will map them: no warning. Of a mere
            # number nothing is known.
            assert not caplog.text
            guest.watch(forks.address, 8).delete()
            assert "nothing can be accessed" in caplog.text
        linked = [point.address for point in (forks, secondary, last)]
        assert guest.why_unreachable(forks) is not None

        @secondary
        def _(hit: Hit) -> None:
            came_up.add((hit.vcpu.id, hit.pc))

        @forks
        def _(hit: Hit) -> None:
            ran.append((hit.old, hit.new, hit.vcpu.id))

        assert guest.run(timeout=SECONDS).pc == last.address
        slide = guest.linux.slide
        assert slide > 0
        assert [p.address - slide for p in (forks, secondary, last)] == linked
        last.delete()
        while len(came_up) < 3:
            guest.run(max_instructions=5_000_000, timeout=SECONDS)
        assert came_up == {(n, secondary.address) for n in (1, 2, 3)}
        assert [new - old for old, new, _ in ran] == [1] * len(ran)
        assert [old for old, _, _ in ran] == list(range(len(ran)))
        assert guest.read_u64(forks.address) == len(ran) > 3
        assert forks.hits == len(ran)
