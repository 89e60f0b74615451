/* A guest whose values go through many copies: each variable says where its value comes from. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

struct pair {
	u64 a, b;
};

struct record {
	u32 id;
	u16 kind;
	u8 flag;
	struct pair pair;
	u64 more[5];
};

volatile u32 seed = 1000;
u32 made;			/* computed: seed + 23 */
u32 by_call;			/* made, through registers and calls */
__attribute__((aligned(16))) struct record first, second, third, fourth, nested;
u64 widened;			/* made, zero-extended */
long signed_wide;		/* negative, sign-extended from an int */
volatile int negative = -5;
u8 narrow;			/* the low byte of made */
u16 middle;			/* bytes 1 and 2 of word */
volatile u32 word = 0xaabbccdd;
u64 constant;			/* an immediate */
u64 cleared;			/* the zero register */
u32 chosen;			/* made or word, by a conditional select */
u32 uart_flags;			/* read from a device */
u64 exchanged;			/* what was in slot before a swap */
u64 slot = 77;
u64 never_written = 4711;
u8 bytes_out[8];		/* first.more[0], byte by byte */
u64 depth_result;
u64 end_of_chain;

/* By doublewords with post-indexed pairs, as the libraries have it. */
__attribute__((noinline)) void *memcpy(void *to, const void *from, u64 size)
{
	u64 *d = to;
	const u64 *s = from;

	for (; size >= 16; size -= 16)
		asm volatile("ldp x9, x10, [%1], #16\n stp x9, x10, [%0], #16"
			     : "+r"(d), "+r"(s) : : "x9", "x10", "memory");
	for (; size >= 8; size -= 8) {
		*d++ = *s++;
		asm volatile("" : : : "memory");
	}
	return to;
}

__attribute__((noinline)) void copy_vectors(void *to, const void *from)
{
	asm volatile("ld1 {v0.16b, v1.16b}, [%1], #32\n"
		     "ldp q2, q3, [%1]\n"
		     "mov v4.16b, v2.16b\n"
		     "st1 {v0.16b, v1.16b}, [%0], #32\n"
		     "stp q4, q3, [%0]\n"
		     : "+r"(to), "+r"(from) : : "v0", "v1", "v2", "v3", "v4", "memory");
}

__attribute__((noinline)) void copy_bytes(u8 *to, const u8 *from, int count)
{
	for (int n = 0; n < count; n++) {
		to[n] = from[n];
		asm volatile("" : : : "memory");
	}
}

__attribute__((noinline)) u32 passed_on(u32 value, int levels)
{
	volatile u32 kept = value;

	if (levels == 0)
		return kept;
	return passed_on(kept, levels - 1) + 0;
}

__attribute__((noinline)) struct pair made_pair(u64 a, u64 b)
{
	struct pair pair = { a, b };

	return pair;
}

__attribute__((noinline)) double half(double value)
{
	return value / 2;
}

double halved;

__attribute__((noinline)) u64 recursive(u64 n)
{
	if (n == 0)
		return 1;
	u64 rest = recursive(n - 1);
	asm volatile("" : "+r"(rest));
	return rest + n;
}

__attribute__((noinline)) u64 leaf(u64 n)
{
	asm volatile("" : "+r"(n));
	return n * 3;
}

__attribute__((noinline)) u64 ends_in_leaf(u64 n)
{
	asm volatile("" : "+r"(n));
	return leaf(n + 1);
}

static inline __attribute__((always_inline)) u64 always_inlined(u64 n)
{
	asm volatile("nop");
	return n ^ 5;
}

u64 tail_result, inline_result;

int main(void)
{
	made = seed + 23;
	by_call = passed_on(made, 3);
	first.id = made;
	first.kind = (u16)made;
	first.flag = (u8)made;
	first.pair = made_pair(made, 9);
	first.more[0] = 0x1122334455667788 ^ seed;
	first.more[1] = first.pair.a;
	second = first;
	memcpy(&third, &second, sizeof(third));
	copy_vectors(&fourth, &third);
	nested.pair = third.pair;
	copy_bytes(bytes_out, (u8 *)&first.more[0], 8);
	widened = made;
	signed_wide = negative;
	narrow = (u8)made;
	middle = (u16)(word >> 8);
	constant = 0x123456789abcdef0;
	cleared = 0;
	u32 condition = seed, yes = made, no = word, result;
	asm volatile("cmp %w1, #1000\n csel %w0, %w2, %w3, eq"
		     : "=r"(result) : "r"(condition), "r"(yes), "r"(no) : "cc");
	chosen = result;
	uart_flags = *(volatile u32 *)0x09000018;
	u64 swapped, fresh = made;
	asm volatile(".arch armv8.1-a\n swp %1, %0, [%2]"
		     : "=&r"(swapped) : "r"(fresh), "r"(&slot) : "memory");
	exchanged = swapped;
	depth_result = recursive(6);
	tail_result = ends_in_leaf(4);
	tail_result += leaf(1);
	inline_result = always_inlined(seed);
	halved = half(seed);
	end_of_chain = never_written;
	return 0;
}
