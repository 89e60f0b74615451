"""Conditions of breakpoints and watchpoints: their language, and two ways to evaluate them.

language          the operators and names, with what each does in Python and in a hit program
bounds            how large a condition, and the values in it, may be
parts             pieces of hit programs, and joining them
compiler          conditions as operations of a hit program, which the provider runs
vector_registers  V registers and their lanes
variable_names    variables whose names Python's parser does not take
expression        the Condition class: parses a text, and evaluates it in Python
"""
