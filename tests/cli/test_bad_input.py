"""Mistakes of a user: a clear message and an exit status, never a traceback."""

import struct
from pathlib import Path

import pytest

from tests.cli.guests import EXAMPLES, guestdbg, problem

QUEUE = "examples/queue.elf"
DIGITS = "9" * 5000
DIGIT_OPTIONS = (
    "--count",
    "--timeout",
    "--max-instructions",
    "--vcpus",
    "--address",
    "--slide",
    "--overwatch",
)
ELF = (EXAMPLES / "queue.elf").read_bytes()


def patched(offset: int, data: bytes) -> bytes:
    return ELF[:offset] + data + ELF[offset + len(data) :]


def overlapping() -> bytes:
    """The physical address of the second segment is inside the first."""
    header = int.from_bytes(ELF[32:40], "little")
    physical = int.from_bytes(ELF[header + 24 : header + 32], "little")
    second = header + 56
    return patched(second + 16, struct.pack("<QQ", physical + 16, physical + 16))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "empty"),
        (ELF[:3], "neither an elf file nor an arm64 linux image"),
        (ELF[:40], "40 bytes, but an elf header has 64"),
        (ELF[: len(ELF) // 8], "bytes, but segment 0 ends at"),
        (patched(18, b"\x3e\x00"), "x86"),
        (patched(4, b"\x01"), "32-bit"),
        (patched(5, b"\x02"), "big-endian"),
        (overlapping(), "overlap"),
        (b"\x00" * 5000, "--kind"),
    ],
    ids=["empty", "3 bytes", "header", "cut", "x86", "32 bit", "big", "overlap", "zeros"],
)
def test_files_that_are_not_a_guest(tmp_path: Path, contents: bytes, message: str) -> None:
    guest = tmp_path / "guest.elf"
    guest.write_bytes(contents)
    text = problem("run", str(guest))
    assert str(guest) in text
    assert message in text.lower()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-file.elf"], "no such file"),
        (["examples"], "directory"),
        ([QUEUE, "--memory", "4K"], "memory of 4 KiB"),
        ([QUEUE, "--memory", "plenty"], "'plenty' is not a size"),
        (
            ["examples/mmu.elf", "--memory", "4M", "--kind", "raw", "--address", "0x60000000"],
            "are outside",
        ),
        ([QUEUE, "--initrd", "no-such-file"], "no-such-file: no such file"),
        ([QUEUE, "--initrd", QUEUE], "queue.elf: neither a cpio archive nor compressed"),
        ([QUEUE, "--smp", "65"], "65 vCPUs"),
        ([QUEUE, "-m", "512"], "memory of 512 bytes"),
        ([QUEUE, "--net", "tap"], "tap"),
        ([QUEUE, "--net", "user,forward=tcp:99999:22"], "99999"),
        ([QUEUE, "--drive", "no-such-disk"], "drive no-such-disk: no such file"),
        ([QUEUE, "--drive", "examples"], "drive examples: a directory"),
        ([QUEUE, "--drive", "README.md"], "README.md"),
        (
            [QUEUE, "--drive", f"{QUEUE},readonly,overlay"],
            "readonly and overlay exclude each other",
        ),
        ([QUEUE, "--drive", "file=disk.img"], "write the name of the file itself, first"),
        ([QUEUE, "--provider", "host"], "--provider soft"),
        ([QUEUE, "--watch", "queue.tial"], "did you mean 'tail'"),
        ([QUEUE, "--watch", "queu"], "no symbol named 'queu'; did you mean 'queue'"),
        ([QUEUE, "--break", "job_finsh"], "did you mean 'job_finish'"),
        ([QUEUE, "--break", "queue.c:9999"], "the last line with code is 29"),
        ([QUEUE, "--break", "nowhere.c:1"], "file named 'nowhere.c'; the files are console.c"),
        ([QUEUE, "--break", "0x40200002"], "aligned to 4 bytes"),
        ([QUEUE, "--watch", "0x40200000,0"], "a range of 0 bytes"),
        ([QUEUE, "--watch", "0xfffffffffffffffc,16"], "beyond 64 bits"),
        ([QUEUE, "--watch", "queue.tail:x"], "must be r, w or rw"),
        ([QUEUE, "--watch", "queue.tail if"], "is not an expression"),
        ([QUEUE, "--watch", "queue.tail if f()"], "not part of the language"),
        ([QUEUE, "--watch", "0x40000000,0x7fffffffff"], "watchpoint registers"),
        (
            ["examples/hello.elf", "--symbols", "README.md", "--break", "main"],
            "README.md is not an ELF",
        ),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_what_cannot_be_done(arguments: list[str], message: str) -> None:
    assert message in problem("run", *arguments)


def test_too_many_watchpoints_says_how_many_there_are() -> None:
    what = [f"{0x40300000 + 0x100 * n:#x},8" for n in range(5)]
    text = problem("run", QUEUE, *(x for w in what for x in ("-w", w)))
    assert "5 watchpoint registers would be needed, and this guest has 4" in text
    for watched in what:
        assert f"{watched[:-2]}: 8 bytes" in text


def test_a_condition_that_cannot_be_evaluated_ends_the_run_with_the_summary() -> None:
    result = guestdbg("run", QUEUE, "--watch", "queue.tail if new // 0")
    assert result.returncode == 1
    assert "cannot be evaluated at queue_push" in result.stderr
    assert "watch queue.tail if new // 0" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_condition_with_an_unknown_variable() -> None:
    result = guestdbg("run", QUEUE, "--watch", "queue.tail if new > queue.sise")
    assert result.returncode == 1
    assert "no member of struct queue named 'sise'; did you mean 'size'?" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", QUEUE, "--count", "0", "-b", "main"],
        ["run", QUEUE, "--count", "3"],
        ["run", QUEUE, "--timeout", "-1"],
        ["run", QUEUE, "--timeout", "0"],
        ["run", QUEUE, "--max-instructions", "many"],
        ["run", QUEUE, "--kind", "pe"],
        ["run", QUEUE, "--input", "\\q"],
        ["run", QUEUE, "--slide", "far"],
        ["run", QUEUE, "--nothing"],
        ["frobnicate"],
        ["caps", "--provider", "other"],
        ["run", QUEUE, "--timeout", "nan"],
        ["run", QUEUE, "--timeout", "inf"],
        ["run", QUEUE, "--timeout", "-inf"],
        ["check", "--seconds", "nan"],
        ["lab", "--timeout", "nan", "--", "caps"],
        *(["run", QUEUE, option, DIGITS] for option in DIGIT_OPTIONS),
        ["explain", "watch", DIGITS],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_a_wrong_command_line(arguments: list[str]) -> None:
    result = guestdbg(*arguments)
    assert result.returncode == 2
    assert "Usage: guestdbg" in result.stderr
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--memory", DIGITS],
        ["--watch", DIGITS],
        ["--watch", f"0x40200000,{DIGITS}"],
        ["--watch", f"queue.items[{DIGITS}]"],
        ["--watch", f"queue.tail if new == {DIGITS}"],
        ["--break", DIGITS],
        ["--break", f"queue.c:{DIGITS}"],
        ["--break", f"main+{DIGITS}"],
    ],
    ids=lambda arguments: arguments[1].replace(DIGITS, "9999"),
)
def test_numbers_of_thousands_of_digits(arguments: list[str]) -> None:
    assert len(problem("run", QUEUE, *arguments)) < 1000


@pytest.mark.parametrize("text", ["é", "日本", "\udcff\udcfe"])
def test_boot_arguments_are_bytes_for_the_kernel(text: str) -> None:
    result = guestdbg("run", "examples/hello.elf", "--bootargs", text)
    assert (result.returncode, result.stdout) == (0, "Hello from EL1\n")


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    text = problem("run", QUEUE, "--log", str(tmp_path / "no" / "such" / "log.jsonl"))
    assert "log.jsonl" in text


def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    """`| head -1` closes the pipe: there must be no traceback."""
    import subprocess

    from tests.cli.guests import GUESTDBG, ROOT

    process = subprocess.Popen(
        [*GUESTDBG, "run", "examples/flood.elf", "--max-instructions", "3000000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"flood: line 0\n"
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait(60) in (1, 141)
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


def test_a_defect_of_guestdbg_is_reported_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from click.testing import CliRunner

    import guestdbg.cli.caps
    from guestdbg.cli import main

    def broken(provider: str) -> None:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr(guestdbg.cli.caps, "open_kvm", broken)
    result = CliRunner().invoke(main, ["caps"])
    assert result.exit_code == 70
    assert "this is a defect of guestdbg: ZeroDivisionError: deep inside" in result.output
    assert "GUESTDBG_TRACEBACK=1" in result.output


def test_an_unknown_name_in_a_condition_is_refused_before_the_guest_runs() -> None:
    watch = "queue.tail if new > quue.size and count > 5000"
    result = guestdbg("run", QUEUE, "--watch", watch)
    assert result.returncode == 1
    assert "there is no variable named 'quue'; did you mean 'queue'" in result.stderr
    assert result.stdout == ""
