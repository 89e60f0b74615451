"""`python -m guestdbg`: the same as the command `guestdbg`."""

from guestdbg.cli import main

main(prog_name="guestdbg")
