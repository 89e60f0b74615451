"""`python -m guestdbg`: the same as `guestdbg`."""

from guestdbg.cli import main

main(prog_name="guestdbg")
