"""When a vCPU runs, and when it waits (arm.c).

fair_lock    one vCPU of a machine runs at a time; waiters are served in order
waiting      WFI, and sleeping while powered off
requests     power, reset and interrupt lines, which other threads change
livelock     guests that take the same exception for ever
"""
