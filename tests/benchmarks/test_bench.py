"""The measurements: every key, a reason for what is missing, and a guest that does what it says."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import capstone
import pytest
import unicorn
from click.testing import CliRunner

import bench.__main__ as bench_main
from bench import (
    environment,
    loop_guest,
    page,
    qemu,
    record,
    uboot_prompt,
)
from bench.host import lab as host_lab
from bench.measurement import Measurement, Result, Unavailable, take_all
from guestdbg.lab import LabError, cache
from guestdbg.lab.fetch import apt

KEYS = {
    "loop_mips",
    "loop_mips_armed",
    "loop_mips_armed_elsewhere",
    "stops_per_second",
    "gdb_stops_per_second",
    "gdb_steps_per_second",
    "decided_per_second",
    "recorded_per_second",
    "steps_per_second",
    "startup_seconds",
    "startup_output_seconds",
    "uboot_seconds",
    "qemu_loop_mips",
    "qemu_loop_mips_armed",
    "qemu_gdb_stops_per_second",
    "qemu_gdb_steps_per_second",
    "gdb_conditional_per_second",
    "qemu_gdb_conditional_per_second",
    "unicorn_loop_mips",
    "suite_mips",
    "qemu_suite_mips",
    "unicorn_suite_mips",
    "fp_suite_mips",
    "qemu_fp_suite_mips",
    "unicorn_fp_suite_mips",
    "campaign_two_workers_ratio",
    "coverage_ratio",
    "fuzz_execs_per_second",
    "fuzz_uboot_execs_per_second",
    "trace_calls_per_second",
    "trace_instructions_per_second",
    "qemu_trace_instructions_per_second",
    "history_cost",
    "history_loop_cost",
    "linux_boot_history_ratio",
    "history_bytes_per_million_instructions",
    "last_write_seconds",
    "reverse_step_seconds",
    "gdb_reverse_step_seconds",
    "qemu_reverse_step_seconds",
    "reverse_continue_hits_per_second",
    "qemu_uboot_seconds",
    "linux_boot_seconds",
    "qemu_linux_boot_seconds",
    "linux_boot_armed_seconds",
    "linux_boot_4_seconds",
    "qemu_linux_boot_4_seconds",
    "linux_user_mips",
    "qemu_linux_user_mips",
    "linux_snapshot_ms",
    "linux_restore_ms",
    "restores_per_second",
    "qemu_restores_per_second",
    "kallsyms_seconds",
    "task_watch_ratio",
    "drgn_ps_seconds",
    "page_walk_seconds",
    "qemu_page_walk_seconds",
    "lx_ps_seconds",
    "qemu_lx_ps_seconds",
    "linux_host_mib",
    "host_exit_ratio",
    "host_stops_per_second",
    "qemu_kvm_gdb_stops_per_second",
}


@pytest.fixture(scope="module", autouse=True)
def _end_the_lab() -> Iterator[None]:
    yield
    host_lab.close()


def test_every_key_is_measured() -> None:
    assert set(bench_main.BY_KEY) == KEYS


def test_every_key_is_on_the_page() -> None:
    assert page.keys() == KEYS


def test_ratios_divide_keys_that_exist() -> None:
    assert {key for pair in record.RATIOS for key in pair} <= KEYS


def write_record(
    path: Path, measurements: list[Measurement], results: Mapping[str, Result]
) -> None:
    record.write(record.of_results(measurements, results, environment.current()), path)


def measurement(values: list[float], **kwargs: object) -> Measurement:
    runs = iter(values)
    return Measurement("k", "u", "w", lambda: next(runs), **({"repeat": len(values)} | kwargs))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [({}, 9.0), ({"better": "less"}, 1.0), ({"summary": "median"}, 2.0)],
)
def test_how_runs_become_one_figure(kwargs: dict[str, object], expected: float) -> None:
    result = take_all([measurement([9.0, 1.0, 2.0], **kwargs)])["k"]
    assert (result.value, result.runs) == (expected, (9.0, 1.0, 2.0))
    assert result.how == f"{kwargs.get('summary', 'best')} of 3"


def test_parts_become_one_each_and_then_their_geometric_mean(tmp_path: Path) -> None:
    runs = iter([{"a": 2.0, "b": 50.0}, {"a": 8.0, "b": 32.0}])
    m = Measurement("suite_mips", "MIPS", "w", lambda: next(runs), repeat=2)
    result = take_all([m])["suite_mips"]
    assert result.parts == {"a": 8.0, "b": 50.0}
    assert result.value == pytest.approx(20.0)
    assert result.runs == pytest.approx((10.0, 16.0))
    write_record(tmp_path / "bench.json", [m], {"suite_mips": result})
    document = json.loads((tmp_path / "bench.json").read_text())
    assert document["details"]["suite_mips"]["parts"] == {"a": 8.0, "b": 50.0}


def test_what_is_missing_is_null_with_the_reason(tmp_path: Path) -> None:
    def run() -> float:
        raise Unavailable("not installed")

    absent = Measurement("qemu_loop_mips", "MIPS", "another tool", run)
    present = Measurement("loop_mips", "MIPS", "guestdbg", lambda: 8.0, repeat=1)
    results = take_all([absent, present])
    write_record(tmp_path / "build" / "bench.json", [absent, present], results)
    document = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert document["qemu_loop_mips"] is None
    assert document["not_measured"] == {"qemu_loop_mips": "not installed"}
    assert document["loop_mips"] == 8.0
    assert document["ratios"]["loop_mips / qemu_loop_mips"] is None


def test_measurements_take_turns() -> None:
    """Figures of which the ratio is taken are measured in the same minutes."""
    order: list[str] = []

    def run(key: str, repeat: int) -> Measurement:
        return Measurement(key, "u", "w", lambda: float(order.append(key) or 1), repeat=repeat)

    take_all([run("a", 3), run("b", 2)])
    assert order == ["a", "b", "a", "b", "a"]


def test_a_failing_measurement_is_not_hidden() -> None:
    def run() -> float:
        raise RuntimeError("the guest crashed")

    result = take_all([Measurement("k", "u", "w", run)])["k"]
    assert result.value is None
    assert result.failed
    assert result.reason == "failed: RuntimeError: the guest crashed"


def test_a_qemu_that_does_not_start_is_an_error_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "qemu"
    broken.write_text("#!/bin/sh\necho no such machine >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(qemu, "QEMU", str(broken))
    with pytest.raises((EOFError, OSError)), qemu.stub(tmp_path / "guest.elf") as stub:
        stub.command("?")


def test_a_failed_measurement_fails_the_run_but_not_the_other_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> float:
        raise RuntimeError("the guest crashed")

    bad = Measurement("loop_mips", "MIPS", "guestdbg", run)
    good = Measurement("unicorn_loop_mips", "MIPS", "another tool", lambda: 3.0, repeat=1)
    monkeypatch.setattr(bench_main, "MEASUREMENTS", [bad, good])
    path = tmp_path / "bench.json"
    result = CliRunner().invoke(bench_main.main, ["--output", str(path)])
    assert result.exit_code == 1
    document = json.loads(path.read_text())
    assert document["unicorn_loop_mips"] == 3.0
    assert document["loop_mips"] is None
    assert "crashed" in document["not_measured"]["loop_mips"]


@pytest.mark.parametrize("broken", ["no apt", "no network"])
def test_tools_for_the_lab_that_cannot_be_downloaded(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LabError("apt-get update failed (is there a network?)")

    host_lab.close()  # a lab that runs already has them
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setattr(apt, "available", lambda: broken == "no network")
    monkeypatch.setattr(apt.Apt, "update", fail)
    monkeypatch.setattr(apt.Apt, "_run", fail)
    result = take_all([bench_main.BY_KEY["qemu_kvm_gdb_stops_per_second"]])
    (found,) = result.values()
    assert found.value is None
    assert not found.failed
    assert found.reason is not None
    assert "qemu-system-arm and gdb-multiarch for arm64" in found.reason
    assert ("missing" if broken == "no apt" else "network?") in found.reason


# QEMU and GDB are slow on an emulated processor.
SLOW = {"qemu_kvm_gdb_stops_per_second"}
# The package of the kernel's sources has 138 MB.
SOAK = {"lx_ps_seconds", "qemu_lx_ps_seconds"}


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(
            key,
            marks=[
                *[pytest.mark.slow] * (key in SLOW),
                *[pytest.mark.soak, pytest.mark.timeout(900)] * (key in SOAK),
            ],
        )
        for key in sorted(KEYS)
    ],
)
def test_each_measurement_runs(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few repetitions; each measurement checks that the guest did what it should."""
    for program in (qemu.QEMU, qemu.GDB):
        if program.split("-")[0] in key and shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if "uboot" in key and not uboot_prompt.UBOOT.exists():
        pytest.skip(f"{uboot_prompt.UBOOT} is not there")
    measurement = bench_main.BY_KEY[key]
    module = sys.modules[measurement.run.__module__]
    small = {"TURNS": 20_000, "STOPS": 200, "STEPS": 200, "HITS": 200, "ROUNDS": 1}
    small |= {"KVM_STOPS": 5, "CASES": 40}
    small |= {"KVM_STOPS": 5, "RESTORES": 200}
    for name, value in small.items():
        if hasattr(module, name) and (name != "TURNS" or "mips" in key):
            monkeypatch.setattr(module, name, value)
    try:
        figure = measurement.run()
    except Unavailable as missing:
        pytest.skip(str(missing))
    assert min(figure.values() if isinstance(figure, Mapping) else [figure]) > 0


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "/s", "-"),
        (2.26, "/s", "2.3 /s"),
        (1414.2, "/s", "1,414 /s"),
        (0.7734, "s", "0.773 s"),
        (1.2345, "times", "1.23 times"),
    ],
)
def test_figures_are_readable(value: float | None, unit: str, text: str) -> None:
    assert record.with_unit(value, unit) == text


def test_ratios_are_quotients() -> None:
    measurements = [Measurement(key, "MIPS", "w", float) for key in ("loop_mips", "qemu_loop_mips")]
    results = {
        "loop_mips": Result(800.0, (800.0,), "best of 1"),
        "qemu_loop_mips": Result(100.0, (100.0,), "best of 1"),
    }
    run = record.of_results(measurements, results, environment.current())
    assert run.ratios()["loop_mips / qemu_loop_mips"] == 8.0


def test_the_loop_guest_is_what_its_comment_says() -> None:
    """Disassembled by Capstone. The numbers of instructions depend on it."""
    machine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    listing = list(machine.disasm(loop_guest.code(0x1_0002_0003), loop_guest.CODE))
    text = [f"{i.mnemonic} {i.op_str}" for i in listing if i.address >= loop_guest.LOOP]
    assert text[: loop_guest.PER_TURN] == [
        "add x0, x0, #1",
        "str x0, [x1]",
        "ldr x2, [x1, #0x40]",
        "eor x3, x3, x2",
        "cmp x0, x4",
        f"b.lt #{loop_guest.LOOP:#x}",
    ]
    assert [i.mnemonic for i in listing if i.address >= loop_guest.OFF][2:] == ["hvc", "b"]


@pytest.mark.parametrize("turns", [1, 2, 1000])
def test_the_loop_guest_makes_that_many_turns(turns: int) -> None:
    """Unicorn counts the instructions. The figures divide by this number."""
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
    machine.mem_map(loop_guest.CODE, 4096)
    machine.mem_map(loop_guest.DATA, 4096)
    machine.mem_write(loop_guest.CODE, loop_guest.code(turns))
    retired = 0

    def count(*_: object) -> None:
        nonlocal retired
        retired += 1

    machine.hook_add(unicorn.UC_HOOK_CODE, count)
    machine.emu_start(loop_guest.CODE, loop_guest.OFF + 8)
    assert retired == loop_guest.instructions(turns)
    assert int.from_bytes(machine.mem_read(loop_guest.DATA, 8), "little") == turns


@pytest.mark.parametrize("turns", [0, -1, 1 << 63])
def test_a_number_of_turns_out_of_range(turns: int) -> None:
    with pytest.raises(ValueError, match="turns"):
        loop_guest.words(turns)
