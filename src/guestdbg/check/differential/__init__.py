"""The differential: the same random programs on two KVMs, compared exit by exit.

layout              the memory map of a random program
vectors             the guest's exception vectors
program             a program: its code, its registers, and what the host does
controller          the interrupt controller of a program with interrupts
initial             registers and memory before a program runs
trace               what was observed of a program, exit by exit
generate/           makes the program of a seed
play                runs a program on a KVM
players             a player on a KVM of its own
compare             the first difference of two traces
reserved            encodings whose effect the architecture leaves open
difference_context  what happened where two traces differ, for the rules
rules/              which differences are explained, and by what
shrink              makes a program that differs small
findings            the two KVMs, and where a program differs on them
report              the result of many comparisons
campaign            compares many programs
lab_side            the real KVM of the lab as one of the two sides
show                prints programs and traces

There are more than fifteen modules because each step of a comparison, from a seed to a small
program, has one of its own.
"""
