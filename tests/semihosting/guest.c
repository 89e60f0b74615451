/*
 * Calls semihosting and prints what came back, one line each. It prints nothing that depends on
 * the machine, so that two implementations can be compared. Built by test_guest.py.
 */
typedef unsigned long u64;

static long call(u64 operation, const void *block)
{
	register u64 x0 __asm__("x0") = operation;
	register const void *x1 __asm__("x1") = block;
	__asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
	return (long)x0;
}

static u64 length(const char *s)
{
	u64 n = 0;
	while (s[n])
		n++;
	return n;
}

static void show(const char *name, long value)
{
	char text[24];
	int at = 23;
	u64 left = value < 0 ? -(u64)value : (u64)value;

	call(4, name);
	call(4, value < 0 ? " -" : " ");
	text[at] = 0;
	do
		text[--at] = '0' + left % 10;
	while (left /= 10);
	call(4, text + at);
	call(4, "\n");
}

static long open(const char *name, u64 mode)
{
	u64 block[] = { (u64)name, mode, length(name) };
	return call(1, block);
}

static long with(u64 operation, u64 a, u64 b, u64 c, u64 d)
{
	u64 block[] = { a, b, c, d };
	return call(operation, block);
}

static void files(void)
{
	char buffer[32] = "";
	long f = open("a.txt", 6);

	show("opened", f > 0);
	show("write", with(5, f, (u64)"hello world", 11, 0));
	show("flen", with(0x0c, f, 0, 0, 0));
	show("seek", with(0x0a, f, 6, 0, 0));
	show("read", with(6, f, (u64)buffer, 31, 0));
	call(4, buffer);
	show("\neof", with(6, f, (u64)buffer, 31, 0));
	show("istty", with(9, f, 0, 0, 0));
	show("close", with(2, f, 0, 0, 0));
	f = open("a.txt", 8);
	show("append", with(5, f, (u64)"!", 1, 0));
	with(2, f, 0, 0, 0);
	show("rename", with(0x0f, (u64)"a.txt", 5, (u64)"b.txt", 5));
	show("old", open("a.txt", 0));
	show("errno", call(0x13, 0));
	f = open("b.txt", 0);
	show("read", with(6, f, (u64)buffer, 3, 0));
	show("write", with(5, f, (u64)"x", 1, 0));
	with(2, f, 0, 0, 0);
	show("remove", with(0x0e, (u64)"b.txt", 5, 0, 0));
	show("missing", open("b.txt", 0));
}

int main(void)
{
	char buffer[8] = "";
	u64 info[4] = { 0 }, pointer = (u64)info;
	u64 ticks = 0;
	long f;

	call(3, "*");
	call(4, "\n");
	f = open(":tt", 4);
	show("tt", f > 0);
	show("write", with(5, f, (u64)"console\n", 8, 0));
	f = open(":semihosting-features", 0);
	show("features", f > 0);
	show("flen", with(0x0c, f, 0, 0, 0));
	show("read", with(6, f, (u64)buffer, 5, 0));
	show("magic", buffer[0] == 'S' && buffer[1] == 'H' && buffer[2] == 'F' && buffer[3] == 'B');
	show("bits", buffer[4] & 3);
	show("error", with(8, -1ul, 0, 0, 0) != 0);
	show("no error", with(8, 5, 0, 0, 0));
	show("clock", call(0x10, 0) >= 0);
	show("time", call(0x11, 0) >= 0);
	show("elapsed", call(0x30, &ticks));
	show("frequency", call(0x31, 0) > 0);
	call(0x16, &pointer);
	show("heap", info[1] >= info[0] && info[2] > info[0]);
	files();
	return 7;
}

__asm__(".section .text.start, \"ax\"\n"
	".global _start\n"
	"_start:\n"
	"	adrp x0, stack_top\n"
	"	add x0, x0, :lo12:stack_top\n"
	"	mov sp, x0\n"
	"	bl main\n"
	"	ldr x1, =0x20026\n"
	"	stp x1, x0, [sp, #-16]!\n"
	"	mov x1, sp\n"
	"	mov x0, #0x18\n"
	"	hlt #0xf000\n"
	"	b .\n"
	"	.ltorg\n"
	"	.bss\n"
	"	.balign 16\n"
	"	.skip 4096\n"
	"stack_top:\n"
	"	.text\n");
