"""What the commands that run a guest share. `run` and `replay` use all of it, `gdb` the first six
modules.

option_types   option values: numbers, and text with escapes
load_options   the options that say which guest is loaded, and on what board
styled_line    a line with styles, which need rich on a terminal only
terminal       where console output, guestdbg's lines and the progress line meet
terminal_mode  the terminal's mode for that, and its return after signals
keyboard       stdin, passed on to the guest
text_finder    a text looked for in what the guest prints
hit_output     a hit as a JSON object
hit_table      a hit as a row of a table
hit_log        what a log of hits is
log_files      the log in a file: JSON lines or a table
tracer         what is done at each hit: count, print, log, stop
messages       devices and instructions that the guest misses
summary        how a run ended, and the table of hits
diagnosis      where the guest was when it was stopped
coverage       which code ran, in files (--coverage)
sampling       --sample: where the guest spends its instructions
tracing        --trace: what the guest did, one event after the other
last_writes    who wrote to memory last
origins        where values came from
panic          task, registers and backtrace of a kernel that has panicked
linux_state    what a Linux guest's kernel did at the end (--show)
points         the breakpoints and watches, and when they are set
guest_run      the run itself: in slices, up to its end
report_options the options that say what is reported of a run
saved_run      the run goes to a file (--save)
session        all of this together

There are more than fifteen modules because each kind of output has its own.
"""
