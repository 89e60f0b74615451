"""`guestdbg lab`, the command."""

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import tools.lab
from guestdbg.cli import main
from guestdbg.lab import Lab, LabError
from guestdbg.lab.image import initramfs
from tests.cli.guests import EXAMPLES, GUESTDBG, ROOT

OPTIONS = [
    *("--cpu", "vhe", "--debian", "sid", "--append", "a=b c", "--machine", "secure=on"),
    *("--qemu", "x/qemu"),
]


def guestdbg_lab(
    *arguments: str, cwd: Path, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*GUESTDBG, "lab", *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=200,
        env=os.environ | environment,
    )


@pytest.mark.usefixtures("lab_root")
def test_files_input_output_and_status(tmp_path: Path) -> None:
    """Many things in one test, because every use boots a machine."""
    (tmp_path / "tool.sh").write_text("cat data/in - >out.txt; echo done; echo bad >&2; exit 7\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in").write_bytes(b"file\n")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"named\n")
    result = guestdbg_lab(
        *("--file", "data", "--fetch", "out.txt", "--fetch", "no*", "--", "sh", "tool.sh", "a/b"),
        cwd=tmp_path,
        stdin=b"typed\n",
    )
    assert result.returncode == 7
    assert result.stdout == b"done\n"
    assert result.stderr == b"bad\nguestdbg: nothing to fetch: the command left no no*\n"
    assert (tmp_path / "out.txt").read_bytes() == b"file\ntyped\n"


@pytest.mark.usefixtures("lab_root")
def test_a_guest_on_the_real_kvm(tmp_path: Path) -> None:
    (tmp_path / "hello.elf").write_bytes((EXAMPLES / "hello.elf").read_bytes())
    ours = subprocess.run(
        [*GUESTDBG, "run", "hello.elf"], cwd=tmp_path, capture_output=True, check=True
    )
    result = guestdbg_lab("--", "run", "hello.elf", "--provider", "host", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ours.stdout


@pytest.mark.usefixtures("lab_root")
def test_vhe_and_the_limit(tmp_path: Path) -> None:
    command = "dmesg | grep -o 'VHE mode initialized'; sleep 1000"
    result = guestdbg_lab("--cpu", "vhe", "--timeout", "3", "--", "sh", "-c", command, cwd=tmp_path)
    assert result.returncode == 124
    assert result.stdout == b"VHE mode initialized\n"
    assert (
        result.stderr == b"guestdbg: sh did not end within 3 seconds and was killed (--timeout)\n"
    )


def test_wrong_command_lines(tmp_path: Path) -> None:
    result = guestdbg_lab("--", "cap", cwd=tmp_path)
    assert result.returncode == 2
    assert b"no command 'cap' in the lab; the commands are: campaign, caps," in result.stderr
    result = guestdbg_lab(cwd=tmp_path)
    assert result.returncode == 2
    assert b"no COMMAND; for example: guestdbg lab -- caps" in result.stderr
    result = guestdbg_lab("--smp", "99", "--", "caps", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == b"guestdbg: --smp 99: a GICv3 machine has 1 to 64 processors\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("lab", "--machine", "secure", "--", "caps"), 1, "--machine secure: it must be NAME="),
        (("lab", "--qemu", "no/qemu", "--", "caps"), 1, "--qemu no/qemu: this QEMU is not there"),
        (("lab", "--", "check", "-k", "nothing*"), 1, "no case matches 'nothing*'; the topics"),
        (("lab", "--", "guestdbg", "check", "-k", "else"), 1, "no case matches 'else'"),
        (("lab", "--", "check", "--sceonds", "1"), 2, "No such option '--sceonds'"),
        (("differential", "lab", "--debian", "../x"), 1, "'../x' is not a Debian release"),
        (("differential", "lab", "--qemu", "no/qemu"), 1, "--qemu no/qemu: this QEMU is not"),
    ],
)
def test_what_is_noticed_before_anything_is_downloaded(
    tmp_path: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    result = subprocess.run(
        [*GUESTDBG, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"GUESTDBG_CACHE": str(tmp_path / "cache")},
    )
    assert said in result.stderr
    assert result.returncode == status
    assert not [p for p in tmp_path.rglob("*") if p.is_dir() and p.name.startswith("debs")]


@pytest.mark.parametrize(
    ("module", "words", "also"),
    [
        ("guestdbg.cli.lab", ["lab", *OPTIONS, "--", "caps"], {"smp": 1, "memory": 1024, "gic": 3}),
        ("guestdbg.check.differential.lab_side", ["differential", "lab", *OPTIONS], {}),
        ("tools.lab", OPTIONS, {}),
    ],
)
def test_the_options_reach_the_lab(
    module: str, words: list[str], also: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same options for all commands."""
    pytest.importorskip("guestdbg.cpu.processor", reason="differential needs the processor")
    seen: list[dict[str, object]] = []

    class NoLab:
        def __init__(self, **options: object) -> None:
            seen.append(options)
            raise LabError("this is all")

    monkeypatch.setattr(f"{module}.Lab", NoLab)
    command = tools.lab.command if module == "tools.lab" else main
    result = CliRunner().invoke(command, words, standalone_mode=False)
    assert "this is all" in result.stderr
    chosen = {"cpu": "vhe", "suite": "sid", "append": "a=b c", "machine": "secure=on"}
    assert seen == [{**chosen, "qemu": "x/qemu", **also}]


def test_without_qemu(tmp_path: Path) -> None:
    result = guestdbg_lab("--", "caps", cwd=tmp_path, PATH=str(tmp_path))
    assert result.returncode == 1
    assert b"apt-get install qemu-system-arm" in result.stderr
    assert b"Traceback" not in result.stderr


@pytest.mark.slow
def test_the_examples_of_the_help_work(lab: Lab) -> None:
    """Runs what follows `--` in each example in the shared lab, with the files that it names."""
    shown = subprocess.run(
        [*GUESTDBG, "lab", "--help"], capture_output=True, text=True, check=True
    ).stdout
    text = re.sub(r"\s*\\\n\s*", " ", shown.split("Examples:")[-1])
    commands = re.findall(r"^ {4}guestdbg lab .*?-- (.*)$", text, re.MULTILINE)
    tried = 0
    for command in commands:
        words = shlex.split(command)
        if words[0] in ("python3", "gdb"):
            continue
        argv = words if words[0] == "guestdbg" else ["guestdbg", *words]
        files = {w: ROOT / w for w in words if w.startswith("examples/")}
        result = lab.run(argv, files=files, timeout=100)
        assert result.status == 0, (command, result.stderr)
        tried += 1
    assert tried >= 3


@pytest.mark.usefixtures("lab_root")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_no_machine_outlives_its_command(tmp_path: Path, end: signal.Signals) -> None:
    command = [*GUESTDBG, "lab", "--", "sh", "-c", "echo up; sleep 1000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (qemu,) = (pid for pid in children if b"virtualization=on" in arguments_of(pid))
        process.send_signal(end)
        assert process.wait(60) == (143 if end == signal.SIGTERM else -9)
    # It was killed and could not end the machine, which notices and powers itself off.
    while b"virtualization=on" in arguments_of(qemu):
        time.sleep(0.05)


@pytest.mark.usefixtures("lab_root")
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_ended_while_its_machine_boots(tmp_path: Path, how: str) -> None:
    """The terminal's settings are unchanged, and the machine has ended."""
    qemu = tmp_path / "bin" / "qemu-system-aarch64"
    qemu.parent.mkdir()
    qemu.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 1000\n")
    qemu.chmod(0o755)
    typist = Typist("--", "caps", cwd=tmp_path, PATH=f"{qemu.parent}:/usr/bin:/bin")
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        time.sleep(0.02)
    if how == "Ctrl-C":
        typist.type(b"\x03")
    else:
        os.kill(typist.pid, signal.SIGTERM)
    assert typist.status() == (130 if how == "Ctrl-C" else 143)
    assert b"Traceback" not in typist.seen
    assert b"sleep" not in arguments_of((tmp_path / "pid").read_text().strip())


@pytest.mark.usefixtures("lab_root")
def test_nothing_outlives_a_command_that_was_killed_while_its_machine_boots(
    tmp_path: Path,
) -> None:
    """A machine that hangs does not notice that the host has gone."""
    qemu = tmp_path / "bin" / "qemu-system-aarch64"
    qemu.parent.mkdir()
    qemu.write_text(
        f"#!/bin/sh\necho $$ >{tmp_path}/starts; mv {tmp_path}/starts {tmp_path}/pid\n"
        "exec sleep 1000\n"
    )
    qemu.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"PATH": f"{qemu.parent}:/usr/bin:/bin", "TMPDIR": str(temporary)}
    with subprocess.Popen(
        [*GUESTDBG, "lab", "--", "caps"], cwd=tmp_path, env=environment, start_new_session=True
    ) as process:
        while not (tmp_path / "pid").exists():
            assert process.poll() is None
            time.sleep(0.02)
        # Before it has sent the process number to its guard, the guard cannot kill it.
        time.sleep(1)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(60) == -9
    pid = (tmp_path / "pid").read_text().strip()
    while b"sleep" in arguments_of(pid) or any(temporary.iterdir()):
        time.sleep(0.02)


def test_no_room_for_the_machine(lab_root: Path, tmp_path: Path) -> None:
    initramfs.package(lab_root, initramfs.base(lab_root).compiler)
    (tmp_path / "limited.sh").write_text('ulimit -f 1000; trap "" XFSZ; exec "$@"\n')
    result = subprocess.run(
        ["sh", "limited.sh", *GUESTDBG, "lab", "--", "caps"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 1
    assert b"initrd (" in result.stderr
    assert b"cannot be written: File too large; set TMPDIR" in result.stderr
    assert b"Traceback" not in result.stderr


def arguments_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.usefixtures("lab_root")
def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    command = [*GUESTDBG, "lab", "--", "sh", "-c", "while :; do echo line; done"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == b"line\nline\n"
        process.stdout.close()
        assert process.wait(100) == 1
        assert process.stderr.read() == b""


class Typist:
    """`guestdbg lab` on its own terminal."""

    def __init__(self, *arguments: str, cwd: Path, **environment: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            # The lab would pass these on, and programs prefer them to the terminal's size.
            os.environ.pop("COLUMNS", None)
            os.environ.update(environment)
            os.execv(sys.executable, [*GUESTDBG, "lab", *arguments])
        self.seen = b""

    def wait_for(self, text: bytes) -> None:
        end = time.monotonic() + 100
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            assert ready, self.seen
            try:
                self.seen += os.read(self.fd, 4096)
            except OSError:
                raise AssertionError(self.seen) from None

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def echoes(self) -> bool:
        """Whether the terminal is in line mode, not in raw mode."""
        flags = termios.tcgetattr(self.fd)[3]
        assert isinstance(flags, int)
        return bool(flags & termios.ECHO) and bool(flags & termios.ICANON)

    def status(self) -> int:
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            if not data:
                break
            self.seen += data
        _, status = os.waitpid(self.pid, 0)
        assert self.echoes(), "the terminal was not put back"
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


WATCHES_ITS_SIZE = """
import os, signal, time
sizes = []
signal.signal(signal.SIGWINCH, lambda *_: sizes.append(os.get_terminal_size()))
print("watching", flush=True)
while True:
    while sizes:
        print(sizes.pop(0), flush=True)
    time.sleep(0.05)
"""


@pytest.mark.usefixtures("lab_root")
def test_a_person_at_the_terminal(tmp_path: Path) -> None:
    """Ctrl-C goes to the command, Ctrl-] ends the lab."""
    (tmp_path / "watch.py").write_text(WATCHES_ITS_SIZE)
    typist = Typist("--file", "watch.py", "--", "sh", cwd=tmp_path)
    typist.wait_for(b"# ")
    typist.type(b"tty\r")
    typist.wait_for(b"/dev/pts/0")
    assert not typist.echoes()
    # Before this is printed, an interrupt would go to the shell.
    typist.type(b"sh -c 'echo under''way; exec sleep 1000'\r")
    typist.wait_for(b"underway")
    typist.type(b"\x03echo after=$?\r")
    typist.wait_for(b"after=130")
    # The window changes its size while a program is running in it.
    typist.type(b"python3 watch.py\r")
    typist.wait_for(b"watching")
    for size in ((47, 123), (33, 99)):
        typist.resize(*size)
    typist.wait_for(b"columns=99, lines=33")
    typist.type(b"\x1d")
    assert typist.status() == 130
    assert b"interrupted" in typist.seen
