"""`examples/semihosting.elf` as a program: its command line, files, input and its end, status."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine.guests import guest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

ELF = guest("semihosting")
TEXT = "hello by semihosting\ncommand line: {args}\n{file}input: {typed}\nend of the input\n"
FILE = "a file of 21 bytes: written by the guest\n"
NO_FILE = "no file: error 13\n"


def run(*options: str, plain: str = "0", **how) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "guestdbg", "run", str(ELF), "--semihosting", *options],
        env=os.environ | {"GUESTDBG_PLAIN": plain},
        capture_output=True,
        timeout=60,
        check=False,
        **how,
    )


@pytest.mark.parametrize("plain", ["0", "1"])
@pytest.mark.parametrize("typed", [b"", b"x", b"one two\n", b"0123456789abcd", b"y" * 3000])
def test_input_from_a_pipe_that_ends(tmp_path: Path, plain: str, typed: bytes) -> None:
    where = ("--semihosting-dir", str(tmp_path), "--semihosting-args", "a bb c")
    done = run(*where, plain=plain, input=typed)
    expected = TEXT.format(args="a bb c", file=FILE, typed=typed.decode())
    assert done.stdout.decode() == expected, done.stderr
    assert done.returncode == 3
    assert (tmp_path / "note.txt").read_bytes() == b"written by the guest\n"


@pytest.mark.parametrize("vcpus", ["1", "2"])
@pytest.mark.parametrize("stdin", ["closed", "empty"])
def test_there_is_no_input(vcpus: str, stdin: str) -> None:
    options = ["--vcpus", vcpus]
    if stdin == "closed":
        done = run(*options, preexec_fn=lambda: os.close(0))
    else:
        done = run(*options, stdin=subprocess.DEVNULL)
    assert done.stdout.decode() == TEXT.format(args="", file=NO_FILE, typed=""), done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("vcpus", ["1", "2"])
def test_input_that_comes_late(vcpus: str) -> None:
    """The guest waits for it, also where another vCPU is powered off."""
    process = subprocess.Popen(
        [sys.executable, "-m", "guestdbg", "run", str(ELF), "--semihosting", "--vcpus", vcpus],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    seen = b""
    while not seen.endswith(b"input: "):
        seen += process.stdout.read1()
    process.stdin.write(b"late")
    process.stdin.flush()
    while not seen.endswith(b"late"):
        seen += process.stdout.read1()
    rest, errors = process.communicate(timeout=60)
    assert (seen + rest).decode() == TEXT.format(args="", file=NO_FILE, typed="late"), errors
    assert process.returncode == 0


def test_a_limit_of_time_ends_the_wait() -> None:
    process = subprocess.Popen(
        [*(sys.executable, "-m", "guestdbg", "run", str(ELF), "--semihosting"), "--timeout", "0.3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.wait(60) == 124
    process.communicate()


def test_the_output_is_qemus(tmp_path: Path) -> None:
    qemu = shutil.which("qemu-system-aarch64")
    if qemu is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    board = ["-M", "virt", "-cpu", "cortex-a57", "-nographic", "-net", "none"]
    board += ["-monitor", "none", "-serial", "none"]
    config = "enable=on,target=native,arg=a,arg=bb"
    done = subprocess.run(
        [qemu, *board, "-semihosting-config", config, "-kernel", str(ELF)],
        cwd=tmp_path,
        input=b"one two\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    assert done.stdout.decode() == TEXT.format(args="a bb", file=FILE, typed="one two\n")
    assert done.returncode == 2
