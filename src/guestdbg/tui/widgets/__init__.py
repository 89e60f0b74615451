"""What the interface is made of, drawn by Textual.

rows       a pane of rows, which draws only those that are seen
lines      a pane of lines that come one after the other
code       source and disassembly
values     registers and watched values
console    the guest's console, and its input
prompt     the prompt: earlier lines, completion
style      colours and the places of the panes
"""
