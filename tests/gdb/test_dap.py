"""LLDB's debug adapter, which editors use, as the server's client.

What VS Code sends with the `launch.json` of docs/gdb.md, in the order in which it sends it.
"""

from __future__ import annotations

import functools
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.gdb.dap_client import Adapter
from tests.gdb.gdb_client import Server, server
from tests.machine.guests import EXAMPLES

TCP = "tcp:127.0.0.1:0"
QUEUE = EXAMPLES / "queue" / "queue.c"
MAIN = EXAMPLES / "queue" / "main.c"


@functools.cache
def adapter() -> str | None:
    """LLDB's adapter: lldb-dap, formerly lldb-vscode, with or without a version in its name."""
    found = [shutil.which(name) for name in ("lldb-dap", "lldb-vscode")]
    for directory in os.get_exec_path():
        found += map(str, sorted(Path(directory).glob("lldb-[dv][as][pc]*-[0-9]*"), reverse=True))
    return next((path for path in found if path), None)


pytestmark = pytest.mark.skipif(
    adapter() is None, reason="no lldb-dap or lldb-vscode: install Debian's lldb"
)


class Editor(Adapter):
    """An editor that shows the source of an example."""

    def __init__(self) -> None:
        path = adapter()
        assert path is not None
        super().__init__([path], os.environ)

    def attach(self, guest: Server, example: str) -> None:
        """Attach, up to the event after which the client sets breakpoints."""
        self.can = self.ask(
            "initialize",
            adapterID="lldb",
            clientID="vscode",
            linesStartAt1=True,
            columnsStartAt1=True,
            pathFormat="path",
        )
        attaching = self.start(
            "attach",
            program=str(EXAMPLES / f"{example}.elf"),
            attachCommands=[f"gdb-remote 127.0.0.1{guest.target}"],
            # The examples are compiled with names from their project's directory.
            sourceMap=[["examples", str(EXAMPLES)]],
            stopOnEntry=True,
        )
        self.event("initialized")
        self.answer(attaching)

    def configured(self) -> dict[str, Any]:
        """All breakpoints are set: where the guest is stopped."""
        self.ask("configurationDone")
        stop = self.stopped()
        # LLDB 14 reports the stop at attaching twice, from two threads.
        time.sleep(1)
        self.ask("threads")
        self.forget()
        return stop

    def breakpoints(self, file: Path, *lines: int, **more: Any) -> list[dict[str, Any]]:
        """Replace the breakpoints in a file."""
        return list(
            self.ask(
                "setBreakpoints",
                source={"path": str(file), "name": file.name},
                breakpoints=[{"line": line, **more} for line in lines],
            )["breakpoints"]
        )

    def stopped(self) -> dict[str, Any]:
        """Wait for a stop: the reason, the innermost frame, and all names as ``frames``."""
        why = self.event("stopped")
        frames = self.ask("stackTrace", threadId=why["threadId"], levels=20)["stackFrames"]
        return why | frames[0] | {"frames": [frame["name"] for frame in frames]}

    def move(self, how: str) -> dict[str, Any]:
        """next, stepIn, stepOut or continue, and the stop after it."""
        self.ask(how, threadId=1)
        return self.stopped()

    def variables(self, frame: int, scope: str) -> dict[str, dict[str, Any]]:
        """The variables in one scope of a frame, by name."""
        scopes = {s["name"]: s for s in self.ask("scopes", frameId=frame)["scopes"]}
        return self.members(scopes[scope]["variablesReference"])

    def members(self, reference: int) -> dict[str, dict[str, Any]]:
        found = self.ask("variables", variablesReference=reference)["variables"]
        return {one["name"]: one for one in found}

    def evaluate(self, expression: str, frame: int, context: str = "watch") -> str:
        result = self.ask("evaluate", expression=expression, frameId=frame, context=context)
        return str(result["result"])

    def command(self, line: str, frame: int) -> str:
        """A command of LLDB, typed into the debug console."""
        return self.evaluate(f"`{line}", frame, "repl")


def test_an_editor_attaches_breaks_steps_and_looks() -> None:
    with server("queue", listen=TCP) as guest, Editor() as editor:
        editor.attach(guest, "queue")
        (at_line,) = editor.breakpoints(QUEUE, 16)
        assert at_line["verified"]
        assert at_line["line"] == 16
        editor.ask("setExceptionBreakpoints", filters=[])
        stop = editor.configured()
        assert stop["name"] == "_start", "it is stopped where the editor attached"
        assert [t["name"] for t in editor.ask("threads")["threads"]] == ["Thread #1 vCPU 0"]

        stop = editor.move("continue")
        assert stop["reason"] == "breakpoint"
        assert (stop["name"], stop["line"]) == ("queue_push", 16)
        assert stop["source"]["path"] == str(QUEUE)
        assert stop["frames"] == ["queue_push", "submit", "sources_poll", "main", "_start"]
        local = editor.variables(stop["id"], "Locals")
        assert {"q", "job"} <= local.keys()
        job = editor.members(local["job"]["variablesReference"])
        assert job["id"]["value"] == "0"
        queue = editor.members(local["q"]["variablesReference"])
        assert (queue["size"]["value"], queue["tail"]["value"]) == ("32", "0")
        registers = editor.variables(stop["id"], "Registers")
        assert {"system", "System Registers"} & registers.keys()

        assert editor.evaluate("q->items[0].cost + 1", stop["id"]) == "1"
        assert "sctlr_el1 = 0x" in editor.command("register read sctlr_el1", stop["id"])
        stop = editor.move("next")
        assert (stop["reason"], stop["line"]) == ("step", 17)
        assert editor.evaluate("q->items[0].cost", stop["id"]) == job["cost"]["value"]

        # The value is changed in the editor's view of variables.
        local = editor.variables(stop["id"], "Locals")
        editor.ask(
            "setVariable",
            variablesReference=local["q"]["variablesReference"],
            name="peak",
            value="17",
        )
        assert editor.evaluate("queue.peak", stop["id"]) == "17"
        stop = editor.move("stepOut")
        assert stop["name"] == "submit"

        # Replace it by another breakpoint, with a condition.
        editor.breakpoints(QUEUE)
        editor.breakpoints(MAIN, 32, condition="job.id == 5")
        stop = editor.move("continue")
        assert (stop["name"], stop["line"]) == ("submit", 32)
        assert editor.evaluate("job.id", stop["id"]) == "5"
        editor.breakpoints(MAIN)
        editor.ask("setFunctionBreakpoints", breakpoints=[{"name": "job_finish"}])
        stop = editor.move("continue")
        assert stop["name"] == "job_finish"
        stop = editor.move("next")
        stop = editor.move("stepIn")
        while stop["name"] == "job_finish":
            stop = editor.move("stepIn")
        assert stop["frames"][:2] == ["stats_record", "job_finish"]

        editor.ask("setFunctionBreakpoints", breakpoints=[])
        editor.ask("disconnect", terminateDebuggee=False)
        assert editor.ended() == 0
        # After detaching, the guest runs to its end.
        assert guest.ended() == 0
    assert b"jobs made: 20000" in guest.output


def test_an_editor_watches_data() -> None:
    """In the debug console; also as data breakpoints, which LLDB 14's adapter does not have."""
    with server("queue", listen=TCP) as guest, Editor() as editor:
        editor.attach(guest, "queue")
        editor.breakpoints(MAIN, 82)
        editor.configured()
        stop = editor.move("continue")
        assert (stop["name"], stop["line"]) == ("main", 82)
        editor.breakpoints(MAIN)
        if editor.can.get("supportsDataBreakpoints"):
            info = editor.ask("dataBreakpointInfo", name="queue.head", frameId=stop["id"])
            editor.ask(
                "setDataBreakpoints",
                breakpoints=[{"dataId": info["dataId"], "accessType": "write"}],
            )
        else:
            said = editor.command("watchpoint set variable queue.head", stop["id"])
            assert "Watchpoint created" in said
        stop = editor.move("continue")
        assert stop["name"] == "queue_pop"
        assert stop["line"] in (28, 29), "LLDB lets the access be made"
        # LLDB 14 knows no better word for it.
        assert {stop["reason"], stop.get("description", "")} & {"breakpoint", "data breakpoint"}
        seen = editor.evaluate("queue.head", stop["id"])
        stop = editor.move("continue")
        assert stop["name"] == "queue_pop"
        assert int(editor.evaluate("queue.head", stop["id"])) == int(seen) + 1
        editor.ask("disconnect", terminateDebuggee=True)
        assert editor.ended() == 0


def test_an_editor_interrupts_what_runs() -> None:
    with server("loop-endless", "--no-wait", listen=TCP) as guest, Editor() as editor:
        editor.attach(guest, "loop-endless")
        first = editor.configured()
        assert first["frames"][-1] == "_start"
        editor.ask("continue", threadId=1)
        time.sleep(1)  # a person sees that it runs
        editor.ask("pause", threadId=1)
        stop = editor.stopped()
        assert stop["frames"][-1] == "_start"
        assert editor.ask("threads")["threads"][0]["id"] == stop["threadId"]
        editor.ask("disconnect", terminateDebuggee=False)
        assert editor.ended() == 0
        assert guest.process.poll() is None, "the guest runs on"
        # And another may come.
        with Editor() as next_one:
            next_one.attach(guest, "loop-endless")
            assert next_one.configured()["frames"][-1] == "_start"
            next_one.ask("disconnect", terminateDebuggee=True)
        assert guest.ended() == 0
