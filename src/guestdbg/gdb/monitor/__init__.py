"""The `monitor` commands, one module for each few of them.

A module has ``COMMANDS``. A command is a function of the session and its arguments that returns the
text to print; see ``command.Command``. ``registry`` lists the modules.

command    what a command is
general    caps, debug-state, hit, reset, status
registers  register
memory     phys, translate
snapshots  snapshot, restore, snapshots
history    history, goto, last: the past of the guest
console    console, type
watch      watch, unwatch
linux      linux: tasks, modules, log, mounts, interrupts, pages
qemu       info, gva2gpa, gpa2hva: as in QEMU's monitor
registry   all commands by name, help, and the execution of a line
"""
