"""CFI parallel flash with the Intel command set, as a bank of QEMU's board has it.

Sources: the Common Flash Interface, JEDEC JESD68; the Intel/Sharp extended command set (P30 family
datasheet). A bank is two devices of 16 bits side by side on a bus of 32 bits: a command goes to
both, and both answer. Programming and erasing are done at once, so that the status is always
"ready". Blocks are not protected: locking them is accepted and has no effect, as in QEMU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from guestdbg.machine.layout import FLASH_BLOCK, PAGE_SIZE

__all__ = ["CfiFlash", "CfiFlashState"]

# Commands: the low byte of what is written.
_PROGRAM = (0x40, 0x10)
_ERASE = 0x20
_CLEAR_STATUS = 0x50
_LOCK = 0x60
_READ_STATUS = 0x70
_READ_ID = 0x90
_QUERY = 0x98
_BUFFERED_PROGRAM = 0xE8
_CONFIRM = 0xD0
_LOCK_CONFIRM = 0x01
_READ_ARRAY = 0xFF

# Status register: ready; and command sequence error (both the erase and the program bit).
_READY, _SEQUENCE_ERROR = 0x80, 0x30

_MANUFACTURER, _DEVICE = 0x0089, 0x0018
_WORD = 4  # bytes on the bus
_BUFFER_WORDS = 512  # of the write buffer: 1024 bytes in each device


def _query_table(blocks: int) -> bytes:
    """What the CFI query of one device gives, by word offset (JESD68, 4.3)."""
    table = bytearray(0x52)
    device_size_log2 = (blocks * FLASH_BLOCK // 2).bit_length() - 1
    block_units = FLASH_BLOCK // 2 // 256  # of one device, in units of 256 bytes
    table[0x10:0x1B] = b"QRY" + bytes((0x01, 0, 0x31, 0, 0, 0, 0, 0))  # Intel; table at 0x31
    table[0x1B:0x1F] = bytes((0x45, 0x55, 0, 0))  # 4.5 to 5.5 V
    # Typical and maximum times of programming a word, a buffer, and of erasing a block.
    table[0x1F:0x27] = bytes((7, 7, 10, 0, 4, 4, 4, 0))
    buffer_log2 = (_BUFFER_WORDS * 2).bit_length() - 1
    table[0x27:0x2D] = bytes((device_size_log2, 2, 0, buffer_log2, 0, 1))
    table[0x2D:0x31] = (blocks - 1).to_bytes(2, "little") + block_units.to_bytes(2, "little")
    table[0x31:0x36] = b"PRI10"
    return bytes(table)


class CfiFlashState(NamedTuple):
    """The state of a bank: see ``CfiFlash.snapshot``.

    ``pages`` are those that are not zero, by offset, if the guest's memory does not have them.
    """

    command: int
    step: int
    status: int
    words: int
    block: int
    buffer: tuple[tuple[int, int, int], ...]
    pages: tuple[tuple[int, bytes], ...]


class CfiFlash:
    """A bank of flash at ``base``, whose contents are ``contents``.

    While it is read as memory ("read array"), the guest reads and executes its contents directly,
    and only writes come here. In all other modes each access does. ``set_array`` is called with
    True and False when that changes; ``changed`` with (offset, length) after contents have changed.
    """

    def __init__(
        self,
        base: int,
        contents: memoryview,
        set_array: Callable[[bool], object],
        changed: Callable[[int, int], object] = lambda offset, length: None,
    ) -> None:
        self.name = "flash"
        self.base = base
        self.size = len(contents)
        self.array = True
        self._contents = contents
        self._set_array = set_array
        self._changed = changed
        self._query = _query_table(self.size // FLASH_BLOCK)
        self._command = _READ_ARRAY
        self._step = 0
        self._status = _READY
        self._count = self._block = 0
        self._buffer: list[tuple[int, int, int]] = []

    def reset(self) -> None:
        """Read the array. The contents stay."""
        self._read_array()
        self._status = _READY

    def snapshot(self) -> CfiFlashState:
        """The mode; and the contents, if the guest's memory does not have them in this mode."""
        pages: list[tuple[int, bytes]] = []
        if not self.array:
            for offset in range(0, self.size, PAGE_SIZE):
                page = bytes(self._contents[offset : offset + PAGE_SIZE])
                if page.count(0) != PAGE_SIZE:
                    pages.append((offset, page))
        return CfiFlashState(
            self._command,
            self._step,
            self._status,
            self._count,
            self._block,
            tuple(self._buffer),
            tuple(pages),
        )

    def restore(self, state: CfiFlashState) -> None:
        """Return to the state of ``snapshot``: before the guest's memory is restored."""
        self._command, self._step, self._status, self._count, self._block = state[:5]
        self._buffer = list(state.buffer)
        self._show_array(self._command == _READ_ARRAY)
        if not self.array:
            pages = dict(state.pages)
            for offset in range(0, self.size, PAGE_SIZE):
                page = pages.get(offset, bytes(PAGE_SIZE))
                if self._contents[offset : offset + PAGE_SIZE] != page:
                    self._contents[offset : offset + PAGE_SIZE] = page
                    self._changed(offset, PAGE_SIZE)

    def peek(self, offset: int) -> int:
        """See ``SupportsPeek``."""
        return self.read(offset, 4)

    def read(self, offset: int, size: int) -> int:
        if self._command == _READ_ARRAY:
            return int.from_bytes(self._contents[offset : offset + size], "little")
        if self._command == _QUERY:
            word = self._query_word(offset // _WORD & 0xFF)
        elif self._command == _READ_ID:
            word = (_MANUFACTURER, _DEVICE, 0, 0)[offset // _WORD & 3]
        else:
            word = self._status
        both = word | word << 16
        return (both | both << 32) >> 8 * (offset % _WORD) & (1 << 8 * size) - 1

    def _query_word(self, index: int) -> int:
        return self._query[index] if index < len(self._query) else 0

    def write(self, offset: int, size: int, value: int) -> None:
        if self._step == 0:
            self._begin(offset, value & 0xFF)
        elif self._command in _PROGRAM:
            self._program(offset, size, value)
            self._finish()
        elif self._command == _BUFFERED_PROGRAM:
            self._continue_buffer(offset, size, value)
        else:
            self._confirm(value & 0xFF)

    def _begin(self, offset: int, command: int) -> None:
        """The first cycle of a command."""
        if command in (*_PROGRAM, _ERASE, _LOCK, _BUFFERED_PROGRAM):
            self._command, self._step = command, 1
            self._block = offset // FLASH_BLOCK * FLASH_BLOCK
            self._show_array(False)
        elif command in (_READ_STATUS, _READ_ID, _QUERY):
            self._command = command
            self._show_array(False)
        else:
            if command == _CLEAR_STATUS:
                self._status = _READY
            self._read_array()

    def _confirm(self, value: int) -> None:
        """The second cycle of erasing and locking."""
        if self._command == _ERASE and value == _CONFIRM:
            block = self._block
            self._contents[block : block + FLASH_BLOCK] = b"\xff" * FLASH_BLOCK
            self._changed(block, FLASH_BLOCK)
            self._finish()
        elif self._command == _LOCK and value in (_CONFIRM, _LOCK_CONFIRM):
            self._finish()
        else:
            self._abandon(value)

    def _continue_buffer(self, offset: int, size: int, value: int) -> None:
        """The cycles of a buffered program: the count minus one, the words, the confirmation."""
        if self._step == 1:
            self._count = value & 0xFFFF
            self._buffer = []
            if self._count >= _BUFFER_WORDS:
                self._abandon(value & 0xFF)
            else:
                self._step = 2
        elif self._step == 2:
            if offset // FLASH_BLOCK * FLASH_BLOCK != self._block:
                self._abandon(value & 0xFF)
                return
            self._buffer.append((offset, size, value))
            if len(self._buffer) > self._count:
                self._step = 3
        elif value & 0xFF == _CONFIRM:
            for written in self._buffer:
                self._program(*written)
            self._buffer = []
            self._finish()
        else:
            self._abandon(value & 0xFF)

    def _program(self, offset: int, size: int, value: int) -> None:
        """Clear the bits that are 0 in ``value``: only erasing sets bits."""
        before = int.from_bytes(self._contents[offset : offset + size], "little")
        after = before & value & (1 << 8 * size) - 1
        self._contents[offset : offset + size] = after.to_bytes(size, "little")
        self._changed(offset, size)

    def _finish(self) -> None:
        """A command is complete: what is read next is the status."""
        self._step = 0
        self._status |= _READY

    def _abandon(self, value: int) -> None:
        """A cycle that does not belong to the command; it may ask for the array."""
        self._buffer = []
        self._step = 0
        self._status |= _SEQUENCE_ERROR
        if value == _READ_ARRAY:
            self._read_array()

    def _read_array(self) -> None:
        self._command, self._step = _READ_ARRAY, 0
        self._buffer = []
        self._show_array(True)

    def _show_array(self, array: bool) -> None:
        if array != self.array:
            self.array = array
            self._set_array(array)
