"""Points: what a guest is stopped at, their conditions, and how they are armed.

conditions            the condition language, evaluated here or compiled for the provider
point                 watches and breakpoints, with handlers, conditions and counts
restriction           the tasks of the guest's operating system that a point is for
followed_watch        watches that move with the pointers on their way
hit                   what a handler is called with
recording             watches that keep a record of every hit
task_words            what their records keep of the task of a hit
spec_parser           points as text, for command lines
armed_state           the enabled points as KVM_SET_GUEST_DEBUG takes them
software_breakpoints  which point has its BRK instructions where
vector_catch          semihosting calls, caught by breakpoints at the exception vectors
registry              all points of a guest

``point`` and ``hit`` refer to each other, for types: a handler takes a hit, a hit has its point.
"""
