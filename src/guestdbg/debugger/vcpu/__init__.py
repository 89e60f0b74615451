"""One vCPU under the debugger: from an exit of KVM_RUN to the handlers of the points it hits.

simd_registers        V0 to V31 as integers, numbers and lanes
registers             registers by name, as users have them
stop                  why a run or step has ended; what handling an exit results in
access_decoder        what a load or store accesses
diagnosis             what state a vCPU is in, in words
exception_vectors     whether an exception was just taken, and from where
exception_injection   giving the guest its own debug exceptions
code_state            the state in which the variables of a hit are read
active_sequence       an exclusive sequence that the vCPU is in the middle of
resume_state          what has to be remembered from one stop to the next
context               the state of the vCPU, and what is read from it
dispatch              putting hits to their points: conditions, counts, handlers
mmio_watchpoints      hits on device registers, from MMIO exits
dma_watchpoints       hits of devices on memory, from what the board reports
semihosting_exits     how a guest's semihosting calls come to the debugger
semihosting           performing them
recorded_call         what such a call did to the guest, as bytes
single_step           executing one instruction
exclusive_stepper     running over exclusive sequences, disarmed
watchpoint_handler    watchpoint exits
breakpoint_handler    breakpoint exits
hit_programs          hits that the provider decides by itself
driver                letting the vCPU run, and where its exits go

There are more than fifteen modules because each kind of exit has its own.

To follow a watchpoint hit: ``driver.VcpuDriver.advance`` runs the vCPU and gives the exit to
``watchpoint_handler``, which steps over the access and calls ``dispatch``.
"""
