"""`guestdbg explain`: registers in words, and values from fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guestdbg.arm64 import debug, registers
from guestdbg.cli.wrapping import wrapped

if TYPE_CHECKING:
    from guestdbg.arm64.fields import Line, Register

_SUFFIXES = {"K": 10, "M": 20, "G": 30}
#: The usual number of watchpoint registers; the architecture permits 2 to 16.
_USUAL_WATCHPOINTS = 4


def number(text: str) -> int:
    """An unsigned integer as the type of a click argument: decimal, 0x hex or 0b binary."""
    try:
        value = int(text, 0)
    except ValueError:
        try:
            int(text, 16)
        except ValueError:
            raise click.BadParameter(f"{text!r} is not a number (0x1000, 4096)") from None
        raise click.BadParameter(
            f"{text!r} is not a decimal number; did you mean 0x{text}?"
        ) from None
    if value < 0:
        raise click.BadParameter(f"{text} is negative")
    return value


def size(text: str) -> int:
    """The same for a size, which may end in K, M or G."""
    shift = _SUFFIXES.get(text[-1:].upper(), 0)
    return number(text[:-1] if shift else text) << shift


class Explain(click.Group):
    """A group whose commands are `watch`, `break` and `list`; any other word is a register."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            return args[0], explain_register, args[1:]
        return super().resolve_command(ctx, args)


@click.group(
    cls=Explain,
    short_help="Explain an arm64 register, or the registers that a watch needs.",
    subcommand_metavar="REGISTER [VALUE | FIELD=N...] | COMMAND [ARGS]...",
    epilog="""\b
Examples:
  guestdbg explain esr_el2 0xc2000022      what the value says, field by field
  guestdbg explain mdscr_el1 MDE=1 KDE=1   the value that has these fields
  guestdbg explain dbgwcr                  its fields
  guestdbg explain watch 0x40090004 12     registers that watch just 12 bytes
  guestdbg explain break 0x40080000        registers that stop there
""",
)
def explain() -> None:
    """Explain the value of an arm64 register, or make a value from its fields."""


@explain.command("list")
def list_registers() -> None:
    """List the registers that can be explained.

    \b
    Example:
      guestdbg explain list
    """
    width = max(map(len, registers.REGISTERS))
    for name, register in sorted(registers.REGISTERS.items()):
        click.echo(wrapped(f"{name:{width}}  {register.title}", hanging=" " * (width + 2)))


@click.command(
    epilog="""\b
Examples:
  guestdbg explain esr_el2 0xc2000022
  guestdbg explain mdscr_el1 MDE=1 KDE=1
""",
)
@click.argument("values", metavar="[VALUE | FIELD=N...]", nargs=-1)
@click.option(
    "--all", "everything", is_flag=True, help="Include fields that are zero and have no text."
)
@click.pass_context
def explain_register(ctx: click.Context, values: tuple[str, ...], everything: bool) -> None:
    """Explain a value of this register, or make a value from its fields."""
    # The name of the command is the name of the register.
    register = registers.by_name(ctx.info_name or "")
    if not values:
        _show_layout(register)
        return
    if any("=" in v for v in values):
        value = _assembled(register, values)
    elif len(values) == 1:
        value = number(values[0])
    else:
        raise click.UsageError("give one VALUE, or one or more FIELD=N")
    _show_value(register, value, everything)


def _assembled(register: Register, settings: Sequence[str]) -> int:
    """The value with these FIELD=N settings.

    Fields that every value has come first: they select which other fields there are.
    """
    fields: dict[str, int] = {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not (field and equals):
            raise click.UsageError(f"{setting!r} is not FIELD=N, as the other arguments are")
        fields[field] = number(text)
    known = {f.name.lower(): f.name for f in register.fields}
    first = {known[n.lower()]: v for n, v in fields.items() if n.lower() in known}
    value = register.encode(**first)
    rest = {register.field(n, value).name: v for n, v in fields.items() if n.lower() not in known}
    return register.encode(base=value, **rest)


def _show_layout(register: Register) -> None:
    """Print the fields of a register."""
    click.echo(wrapped(f"{register.name}: {register.title}", hanging="  "))
    for field in sorted(register.fields, key=lambda f: (-f.high, f.low)):
        click.echo(f"  {field.bits:>8}  {field.name}")
    if register.select:
        click.echo("  Further fields depend on the value of these: give a value to see them.")


def _show_value(register: Register, value: int, everything: bool) -> None:
    lines = [x for x in register.describe(value) if everything or x.value or x.text]
    summary = register.summary(value) if register.summary else register.title
    console = Console(highlight=False)
    if not console.is_terminal:
        click.echo(f"{register.name} = {value:#x}: {summary}")
        for line in lines:
            click.echo(f"  {line.bits:>8}  {line}")
        return
    console.print(
        Text.assemble(
            (register.name, "bold"), " = ", (f"{value:#x}", "bold cyan"), ": ", (summary, "bold")
        )
    )
    console.print(_table(lines))


def _table(lines: Sequence[Line]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True, style="cyan")
    table.add_column()
    for line in lines:
        shown = str(line.value) if line.value < 10 else f"{line.value:#x}"
        # Zero fields are dimmed, so that those that are set catch the eye.
        style = "" if line.value else "dim"
        table.add_row(
            line.bits, Text(line.field, style), Text(shown, style), Text(line.text, style)
        )
    return table


_EL = click.option(
    "--el",
    type=click.Choice(["any", "el0", "el1"]),
    default="any",
    show_default=True,
    help="The Exception levels at which it matches.",
)


def _print_rows(rows: Sequence[tuple[str, int, str]]) -> None:
    """Print (register, value, text) as a table on a terminal, as plain lines elsewhere."""
    console = Console(highlight=False)
    if not console.is_terminal:
        width = max(len(name) for name, _, _ in rows)
        for name, value, text in rows:
            click.echo(f"  {name:{width}} = {value:#018x}  {text}".rstrip())
        return
    table = Table.grid(padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column()
    for name, value, text in rows:
        table.add_row(f"  {name}", f"{value:#018x}", Text(text))
    console.print(table)


@explain.command(
    short_help="Show the watchpoint registers for a range.",
    epilog="""\b
Examples:
  guestdbg explain watch 0x40090004 12
  guestdbg explain watch 0x40100000 64K --access any --el el0
""",
)
@click.argument("address", type=number)
@click.argument("length", type=size)
@click.option(
    "--access",
    type=click.Choice(["read", "write", "any"]),
    default="write",
    show_default=True,
    help="The accesses that stop the guest.",
)
@_EL
@click.option(
    "--registers",
    "available",
    type=click.IntRange(1, 64),
    help="Number of registers available; it is an error if more are needed.",
)
def watch(address: int, length: int, access: str, el: str, available: int | None) -> None:
    """Show the watchpoint registers that cover exactly LENGTH bytes at ADDRESS.

    LENGTH may end in K, M or G.
    """
    pairs = debug.watchpoint(
        address,
        length,
        cast(debug.AccessKind, access),
        el=cast(debug.Privilege, el),
        max_registers=available,
    )
    what = {"read": "reads", "write": "writes", "any": "reads and writes"}[access]
    last = address + length - 1
    many = "one watchpoint" if len(pairs) == 1 else f"{len(pairs)} watchpoints"
    click.echo(f"{what} of {debug.format_size(length)}, {address:#x} to {last:#x}: {many}")
    rows: list[tuple[str, int, str]] = []
    for n, pair in enumerate(pairs):
        covered = debug.watched_range(pair)
        assert covered is not None
        start, length_here = covered
        last_here = start + length_here - 1
        fields = debug.DBGWCR.decode(pair.control)
        how = f"MASK = {fields['MASK']}" if fields["MASK"] else f"BAS = {fields['BAS']:#x}"
        rows.append((f"DBGWVR{n}_EL1", pair.value, ""))
        rows.append(
            (
                f"DBGWCR{n}_EL1",
                pair.control,
                f"{how}: {debug.format_size(length_here)}, {start:#x} to {last_here:#x}",
            )
        )
    _print_rows(rows)
    if available is None and len(pairs) > _USUAL_WATCHPOINTS:
        click.echo(
            f"Processors have 2 to 16 watchpoint registers, usually {_USUAL_WATCHPOINTS}. "
            "A range needs\nonly one if its size is a power of two and it is aligned to that size."
        )


@explain.command(
    "break",
    short_help="Show the breakpoint registers for an address.",
    epilog="""\b
Example:
  guestdbg explain break 0x40080000 --el el1
""",
)
@click.argument("address", type=number)
@_EL
def break_(address: int, el: str) -> None:
    """Show the breakpoint registers that stop before the instruction at ADDRESS."""
    pair = debug.breakpoint(address, el=cast(debug.Privilege, el))
    click.echo(f"execution of {address:#x}: one breakpoint")
    _print_rows(
        [
            ("DBGBVR0_EL1", pair.value, ""),
            ("DBGBCR0_EL1", pair.control, "; ".join(_breakpoint_fields(pair.control))),
        ]
    )


def _breakpoint_fields(control: int) -> list[str]:
    lines = debug.DBGBCR.describe(control)
    return [str(line) for line in lines if line.field in ("BT", "BAS", "PMC")]
