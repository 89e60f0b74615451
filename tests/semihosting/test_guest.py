"""A guest that calls every operation, here and in QEMU."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import guestdbg
from guestdbg.debugger.vcpu import semihosting_exits

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

GCC = shutil.which("aarch64-linux-gnu-gcc")
QEMU = shutil.which("qemu-system-aarch64")
FLAGS = [
    "-O1",
    "-g",
    "-ffreestanding",
    "-fno-pic",
    "-fno-pie",
    "-mgeneral-regs-only",
    "-mstrict-align",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-fno-stack-protector",
    "-Wl,--build-id=none",
    "-Wl,-Ttext=0x40200000",
    "-Wl,-N",
]


@pytest.fixture(scope="module")
def elf(tmp_path_factory):
    if GCC is None:
        pytest.skip("aarch64-linux-gnu-gcc is not installed")
    made = tmp_path_factory.mktemp("semihosting") / "guest.elf"
    source = Path(__file__).parent / "guest.c"
    subprocess.run([GCC, *FLAGS, "-o", str(made), str(source)], check=True)
    return made


def run_here(elf, directory, **options):
    out = io.BytesIO()
    chosen = guestdbg.Semihosting(directory, **options)
    with guestdbg.load(elf, provider="soft", console=out, semihosting=chosen) as guest:
        stop = guest.run(timeout=20)
    return out.getvalue().decode(), stop


def test_the_output_is_qemus(elf, tmp_path) -> None:
    if QEMU is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    (tmp_path / "here").mkdir()
    (tmp_path / "qemu").mkdir()
    text, stop = run_here(elf, tmp_path / "here")
    board = ["-M", "virt", "-cpu", "cortex-a57", "-nographic"]
    board += ["-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native", "-kernel"]
    done = subprocess.run(
        [QEMU, *board, *semihosting, str(elf)],
        cwd=tmp_path / "qemu",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert text == done.stdout.decode()
    assert (stop.reason, stop.status) == ("exit", 7)
    assert done.returncode == 7


def test_without_a_directory_no_file_can_be_opened(elf) -> None:
    text, stop = run_here(elf, None)
    assert "opened 0\n" in text
    assert "console\n" in text
    assert stop.status == 7


def test_files_that_may_only_be_read(elf, tmp_path) -> None:
    (tmp_path / "b.txt").write_text("kept")
    text, _ = run_here(elf, tmp_path, read_only=True)
    assert "opened 0\n" in text
    assert "remove -1\n" in text
    assert (tmp_path / "b.txt").read_text() == "kept"
    assert [p.name for p in tmp_path.iterdir()] == ["b.txt"]


def test_two_runs_are_the_same_in_steps_and_at_breakpoints(elf, tmp_path) -> None:
    text, _ = run_here(elf, tmp_path)
    out = io.BytesIO()
    chosen = guestdbg.Semihosting(tmp_path)
    with guestdbg.load(elf, provider="soft", console=out, semihosting=chosen) as guest:
        hits = []
        guest.break_("open")(lambda hit: hits.append(hit.pc))
        stop = guest.step(200)
        assert stop.reason in ("step", "hit")
        while stop.reason != "exit":
            stop = guest.run(timeout=20)
    assert out.getvalue().decode() == text
    assert len(hits) == 7


def test_the_command_line(elf, tmp_path) -> None:
    command = [sys.executable, "-m", "guestdbg", "run", str(elf), "--provider", "soft"]
    done = subprocess.run(
        [*command, "--semihosting", "--semihosting-dir", str(tmp_path)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    assert done.returncode == 7
    assert b"console\n" in done.stdout
    assert b"exited with status 7" in done.stderr
    done = subprocess.run(
        [*command, "--semihosting-dir", str(tmp_path)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert b"without --semihosting" in done.stderr


@pytest.mark.parametrize("options", [{}, {"read_only": True}, {"max_written": 5}])
def test_calls_caught_at_the_exception_vectors_give_the_same(
    elf, tmp_path, monkeypatch, options: dict
) -> None:
    """As on a provider that does not exit at HLT."""
    found = []
    for plain in (False, True):
        monkeypatch.setattr(semihosting_exits, "PLAIN", plain)
        directory = tmp_path / str(plain)
        directory.mkdir()
        (directory / "kept.txt").write_text("kept")
        text, stop = run_here(elf, directory, **options)
        files = {p.name: p.read_text() for p in directory.iterdir()}
        found.append((text, stop.reason, stop.status, stop.pc, files))
    assert found[0] == found[1]
