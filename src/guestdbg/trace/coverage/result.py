"""What a guest has executed, up to one time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from guestdbg.trace.coverage.executed import Executed
from guestdbg.trace.coverage.source_code import (
    functions_of,
    has_lines,
    lines_of,
)

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.kvm.coverage import CoverageForm
    from guestdbg.tables import Table
    from guestdbg.trace.coverage.executed import Block
    from guestdbg.trace.coverage.source_code import (
        FunctionCoverage,
        LineCoverage,
    )

__all__ = ["CoverageResult", "TableName", "VcpuCoverage"]

#: What there is a table of.
TableName = Literal["instructions", "lines", "functions", "edges"]


@dataclass(frozen=True, slots=True, eq=False)
class VcpuCoverage:
    """What one vCPU executed at one exception level.

    Attributes:
        vcpu: the vCPU's number.
        el: the exception level, 0 or 1.
        blocks: how often instructions were executed one after the other.
        edges: how often each branch went where: by (address of the branch, where it went). The
            instruction after a conditional branch is where it goes if it is not taken.
        form: see ``CoverageResult``.
    """

    vcpu: int
    el: int
    blocks: Mapping[Block, int]
    edges: Mapping[tuple[int, int], int]
    form: CoverageForm

    @property
    def executed(self) -> Executed:
        """The instructions."""
        return Executed.of_blocks(self.blocks.items(), counted=self.form != "first")


class CoverageResult:
    """What a guest has executed: ``Coverage.result()``.

    Addresses are virtual ones, as the guest had them. What several programs of a guest execute at
    the same address at the same exception level is one.

    Args:
        guest: the guest, whose symbols and lines are asked for when they are needed.
        vcpus: what each vCPU executed, at each exception level.
        form: ``"first"``: whether it was executed; ``"counts"``: how often; ``"edges"``: and how
            often each branch went where.
        complete: False: there was no room for all of it.

    Attributes:
        vcpus, form, complete: as above.
    """

    def __init__(
        self, guest: Guest, vcpus: Sequence[VcpuCoverage], form: CoverageForm, *, complete: bool
    ) -> None:
        self._guest = guest
        self.vcpus = tuple(vcpus)
        self.form: CoverageForm = form
        self.complete = complete

    @property
    def counted(self) -> bool:
        """Whether it has counts."""
        return self.form != "first"

    def instructions(self, *, vcpu: int | None = None, el: int | None = None) -> Executed:
        """The instructions that were executed: by this vCPU, at this exception level; None: any."""
        return Executed.of_blocks(self.blocks(vcpu=vcpu, el=el).items(), counted=self.counted)

    def blocks(self, *, vcpu: int | None = None, el: int | None = None) -> dict[Block, int]:
        """How often instructions were executed one after the other, by ``Block``."""
        found: Counter[Block] = Counter()
        for each in self._chosen(vcpu, el):
            found.update(each.blocks)
        return dict(found)

    def edges(
        self, *, vcpu: int | None = None, el: int | None = None
    ) -> dict[tuple[int, int], int]:
        """How often each branch went where, by (its address, where it went)."""
        found: Counter[tuple[int, int]] = Counter()
        for each in self._chosen(vcpu, el):
            found.update(each.edges)
        return dict(found)

    def lines(self, *, vcpu: int | None = None, el: int | None = None) -> list[LineCoverage]:
        """All lines that have code, by file and number. Empty if no line numbers are known.

        Of a program with very much debug information, such as a kernel's vmlinux, only the
        compilation units of which something was executed are read.
        """
        executed = self.instructions(vcpu=vcpu, el=el)
        return lines_of(self._guest, executed, counted=self.counted)

    def functions(
        self, *, vcpu: int | None = None, el: int | None = None
    ) -> list[FunctionCoverage]:
        """All functions of the guest's ELF files, by address, with those that were executed of
        other symbols, such as a Linux kernel's own. Those are read from the guest, which must not
        be closed then."""
        executed = self.instructions(vcpu=vcpu, el=el)
        return functions_of(self._guest, executed, counted=self.counted)

    def table(self, what: TableName) -> Table:
        """A table of ``"instructions"``, ``"lines"``, ``"functions"`` or ``"edges"``.

        For pandas and the like: ``table("lines").to_pandas()``. The first and the last are by vCPU
        and exception level. Raises CoverageError for another name.
        """
        # It lies above this module.
        table: Table = import_module("guestdbg.trace.coverage.as_tables").table_of(self, what)
        return table

    @property
    def has_lines(self) -> bool:
        """Whether any line numbers are known."""
        return has_lines(self._guest)

    @property
    def guest(self) -> Guest:
        """The guest."""
        return self._guest

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file whole, or leave an old one as it is.

        By the name's ending: ``.info`` for lcov, ``.drcov``, or ``.json``. docs/coverage.md
        describes them. Raises CoverageError: another ending, or it cannot be written.
        """
        # It lies above this module.
        files = import_module("guestdbg.trace.coverage.files")
        with files.CoverageFile(Path(path), overwrite=True) as file:
            file.write(self)

    def _chosen(self, vcpu: int | None, el: int | None) -> list[VcpuCoverage]:
        return [each for each in self.vcpus if vcpu in (None, each.vcpu) and el in (None, each.el)]

    def _repr_html_(self) -> str:
        """How notebooks show it: by source file, and the functions that were executed.

        Of a Linux guest the instructions alone: the lines of a kernel take seconds to read.
        """
        # It lies above this module.
        text: str = import_module("guestdbg.trace.coverage.as_html").html_of(self)
        return text

    def __repr__(self) -> str:
        return f"<CoverageResult {self.form}: {len(self.instructions())} instructions>"
