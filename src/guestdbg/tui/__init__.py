"""The interface in a terminal: source, registers, hits, console and a prompt (`guestdbg tui`).

The guest runs in a thread of its own, which carries out the commands; the interface is drawn by
Textual, which is imported in ``app`` and ``widgets`` only.

errors        what goes wrong
printable     text of a guest, safe on a terminal
console_text  what a guest prints, as lines
view          what the panes show, as values
feed          between the two threads, bounded
evaluation    expressions that a user types
registers     registers, and what has changed
disassembly   instructions around an address
source_files  source files, coloured
session       a guest under the interface
commands      the commands of the prompt
guest_thread  the thread that runs the guest
input_keys    keys as a terminal sends them to a guest
widgets       panes, prompt and status line
app           the interface, and opening it
"""
