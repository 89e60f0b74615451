/*
 * Uses its debugger by semihosting: prints, reads its command line, writes a file and reads it
 * back, copies its input, and ends with the number of words on its command line as exit status.
 */
#include "call.h"

static char line[128];

static uint64_t length(const char *text)
{
	uint64_t n = 0;

	while (text[n])
		n++;
	return n;
}

static void print(const char *text)
{
	semihosting(SYS_WRITE0, text);
}

static void print_number(long value)
{
	char digits[21];
	int at = 20;

	digits[at] = 0;
	do
		digits[--at] = '0' + value % 10;
	while (value /= 10);
	print(digits + at);
}

static long open(const char *name, uint64_t mode)
{
	uint64_t block[] = { (uint64_t)name, mode, length(name) };

	return semihosting(SYS_OPEN, block);
}

/* Read or write: the number of bytes that were not. */
static long transfer(uint64_t operation, long handle, const char *data, uint64_t size)
{
	uint64_t block[] = { handle, (uint64_t)data, size };

	return semihosting(operation, block);
}

static void end(int status)
{
	uint64_t block[] = { APPLICATION_EXIT, status };

	semihosting(SYS_EXIT, block);
}

static int count_words(void)
{
	uint64_t block[] = { (uint64_t)line, sizeof line };
	int words = 0;

	if (semihosting(SYS_GET_CMDLINE, block) != 0)
		return 0;
	for (const char *c = line; *c; c++)
		words += *c != ' ' && (c == line || c[-1] == ' ');
	return words;
}

static void use_a_file(void)
{
	static const char text[] = "written by the guest\n";
	char back[32] = "";
	long file = open("note.txt", WRITE);

	if (file < 0) {
		print("no file: error ");
		print_number(semihosting(SYS_ERRNO, 0));
		print("\n");
		return;
	}
	transfer(SYS_WRITE, file, text, sizeof text - 1);
	semihosting(SYS_CLOSE, (uint64_t[]){ file });
	file = open("note.txt", READ);
	print("a file of ");
	print_number(semihosting(SYS_FLEN, (uint64_t[]){ file }));
	print(" bytes: ");
	transfer(SYS_READ, file, back, sizeof back - 1);
	print(back);
	semihosting(SYS_CLOSE, (uint64_t[]){ file });
}

static void copy_input(void)
{
	char text[16];
	long console = open(":tt", READ), left;

	print("input: ");
	while ((left = transfer(SYS_READ, console, text, sizeof text - 1)) < (long)sizeof text - 1) {
		text[sizeof text - 1 - left] = 0;
		print(text);
	}
	print("\nend of the input\n");
}

int main(void)
{
	int words = count_words();

	print("hello by semihosting\n");
	print("command line: ");
	print(line);
	print("\n");
	use_a_file();
	copy_input();
	end(words);
	return 0;
}
