"""Where things are in the guest's program: symbols, source lines, variables and types.

More than fifteen modules because each reads one kind of table, and they share the image.

source_location      an address with its function and source line
symbol_table         ELF symbols, by name and by address
demangled            names of C++ and Rust as people write them
section_header       the section headers of an ELF file
section_table        its sections by name
debug_files          separate debug files: build ID, .gnu_debuglink, .gnu_debugaltlink
decompression        compressed debug sections, decompressed within bounds
tombstones           the addresses of what the linker has removed
unit_scan            where entries begin, for files with very many
line_files           which units have lines of a source file, for such files
line_table           DWARF line numbers, by file and by address
call_frames          DWARF call frame information, for unwinding
elf_bounds           checks of sizes and counts before a library believes them
dwarf_limits         limits of what pyelftools reads of it
dwarf_entries        names and calls of DWARF entries
code_ranges          code addresses of DWARF entries
dwarf_names          in which compilation units a name occurs
split_units          units whose debug information is in another file
function_finder      the functions of a name, for files with very many
scopes               functions, inlined functions and lexical blocks
image                one ELF file with all of these
symbol_source        symbols that come from elsewhere, such as a kernel's own table
drgn_import          drgn is optional: the error when it is missing
cxx_abbreviations    references and base classes of C++ as drgn knows them
float_format         formats of floating-point values
drgn_errors          drgn's exceptions, turned into this project's
variable_expression  the syntax of variables: queue.items[3].next->x
drgn_objects         members, elements, extents and values of drgn objects
cxx_references       which pointers are references of C++
symbol_objects       symbols without debug information, as drgn objects
bit_field            the value of a bit-field, from the bytes that it lies in
static_address       numbers that are found without drgn, for conditions
element_name         which member or element some bytes of a variable are
pointer_path         the pointers on the way to a variable
program_source       a drgn program that comes from elsewhere, such as a kernel's
drgn_program         the variables and types of all images, by drgn
resolver             from a location as a person writes it to addresses
local_variables      parameters and local variables of functions
debug_info           all images of a guest, taken together
"""
