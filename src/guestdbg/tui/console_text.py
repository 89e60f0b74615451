"""What a guest prints on its console, as lines.

It is a terminal as far as programs need one that edit a line: carriage return, backspace, cursor
left and right, deleting and inserting. All other escape sequences are dropped, among them those
that would move somewhere else, set colours or a title, or ask the terminal for an answer. Nothing
of the output reaches the user's terminal but printable characters.
"""

from __future__ import annotations

import codecs
import re
from collections import deque

from guestdbg.tui.printable import printable

__all__ = ["ConsoleText"]

#: A longer line goes on in the next one.
_WIDEST = 1000
#: So much of an escape sequence is looked at; one that is longer is text again.
_LONGEST_SEQUENCE = 256
_CSI = re.compile(r"\x1b\[([0-9;:<=>?]*)[ -/]*([@-~])")
#: Strings: an operating system command, a device control string and their like, up to their end.
_STRING = re.compile(r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)")
_SHORT = re.compile(r"\x1b[ -/]*[0-~]")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)\Z")
_SPECIAL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class ConsoleText:
    """The last lines of a console.

    Args:
        limit: so many complete lines are kept.

    Attributes:
        lines: the complete lines, the oldest first.
        total: how many there were.
    """

    def __init__(self, limit: int) -> None:
        self.lines: deque[str] = deque(maxlen=limit)
        self.total = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._line: list[str] = []
        self._column = 0

    @property
    def current(self) -> str:
        """The line that is not complete yet."""
        return "".join(self._line)

    @property
    def column(self) -> int:
        """Where the cursor is in it."""
        return self._column

    def feed(self, data: bytes) -> None:
        """Take more output. A sequence or character may come in pieces."""
        text = self._rest + self._decoder.decode(data)
        self._rest = ""
        at = 0
        while at < len(text):
            special = _SPECIAL.search(text, at)
            if special is None:
                self._print(text[at:])
                return
            if special.start() > at:
                self._print(text[at : special.start()])
            at = special.start()
            if text[at] == "\x1b":
                unfinished = _UNFINISHED.match(text, at)
                if unfinished is not None and len(text) - at <= _LONGEST_SEQUENCE:
                    self._rest = text[at:]
                    return
                at = self._escape(text, at)
            else:
                self._control(text[at])
                at += 1

    def gap(self, text: str) -> None:
        """Say in a line of its own that something is missing."""
        self._rest = ""
        self._decoder.reset()
        if self._line:
            self._end_line()
        self._keep(text)

    def _keep(self, line: str) -> None:
        self.lines.append(line)
        self.total += 1

    def _end_line(self) -> None:
        self._keep(self.current)
        self._line.clear()
        self._column = 0

    def _print(self, text: str) -> None:
        text = printable(text, len(text))
        while text:
            room = _WIDEST - self._column
            if room <= 0:
                self._end_line()
                continue
            part, text = text[:room], text[room:]
            self._line[self._column : self._column + len(part)] = part
            self._column += len(part)

    def _control(self, letter: str) -> None:
        if letter == "\n":
            self._end_line()
        elif letter == "\r":
            self._column = 0
        elif letter == "\b":
            self._column = max(0, self._column - 1)
        elif letter == "\t":
            self._move_to(min(_WIDEST, (self._column // 8 + 1) * 8))
        elif letter not in "\0\a\x7f":
            self._print("\ufffd")

    def _escape(self, text: str, at: int) -> int:
        """Perform or drop the sequence at ``at``; where it ends."""
        if (found := _CSI.match(text, at)) is not None:
            first = found[1].partition(";")[0]
            self._sequence(found[2], int(first) if first.isdecimal() and len(first) < 5 else None)
        elif (found := _STRING.match(text, at)) is None:
            found = _SHORT.match(text, at)
        return at + 1 if found is None else found.end()

    def _sequence(self, what: str, number: int | None) -> None:
        """A control sequence that edits a line; others do nothing."""
        count, column = min(number or 1, _WIDEST), self._column
        if what == "C":
            self._move_to(min(_WIDEST, column + count))
        elif what == "D":
            self._column = max(0, column - count)
        elif what == "G":
            self._move_to(count - 1)
        elif what == "P":
            del self._line[column : column + count]
        elif what == "@":
            self._line[column:column] = " " * count
            del self._line[_WIDEST:]
        elif what in "JK" and number in (None, 0):
            del self._line[column:]
        elif what == "K" and number == 2:
            self._line[:] = " " * column
        elif what == "K":
            self._line[:column] = " " * column

    def _move_to(self, column: int) -> None:
        self._line += " " * (column - len(self._line))
        self._column = column
