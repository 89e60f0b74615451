/* An interpreter's loop: a register machine that counts primes by trial division. */
#include "suite.h"

enum operation { SET, COPY, ADD, SUBTRACT, MULTIPLY, REMAINDER, LESS, ZERO, GO, STORE, STOP };

struct instruction {
	uint8_t operation, a, b, c;
	int32_t value;
};

/* r0: the number, r1: the limit, r2: the divisor, r3: a scratch, r4: primes found, r5: one */
static const struct instruction primes[] = {
	{ SET, 5, 0, 0, 1 },        /*  0 */
	{ SET, 4, 0, 0, 0 },        /*  1 */
	{ LESS, 0, 1, 0, 4 },       /*  2  number < limit: to 4 */
	{ STOP, 4, 0, 0, 0 },       /*  3 */
	{ SET, 2, 0, 0, 2 },        /*  4 */
	{ MULTIPLY, 3, 2, 2, 0 },   /*  5  divisor squared */
	{ LESS, 0, 3, 0, 11 },      /*  6  number < square: prime */
	{ REMAINDER, 3, 0, 2, 0 },  /*  7 */
	{ ZERO, 3, 0, 0, 13 },      /*  8  divisible: next number */
	{ ADD, 2, 2, 5, 0 },        /*  9 */
	{ GO, 0, 0, 0, 5 },         /* 10 */
	{ STORE, 4, 0, 0, 0 },      /* 11  memory[found] = number */
	{ ADD, 4, 4, 5, 0 },        /* 12 */
	{ ADD, 0, 0, 5, 0 },        /* 13 */
	{ GO, 0, 0, 0, 2 },         /* 14 */
};

static uint64_t memory[1024];

static uint64_t interpret(const struct instruction *code, uint64_t r[8])
{
	const struct instruction *i = code;

	for (;; i++) {
		switch ((enum operation)i->operation) {
		case SET:
			r[i->a] = (uint64_t)(int64_t)i->value;
			break;
		case COPY:
			r[i->a] = r[i->b];
			break;
		case ADD:
			r[i->a] = r[i->b] + r[i->c];
			break;
		case SUBTRACT:
			r[i->a] = r[i->b] - r[i->c];
			break;
		case MULTIPLY:
			r[i->a] = r[i->b] * r[i->c];
			break;
		case REMAINDER:
			r[i->a] = r[i->b] % r[i->c];
			break;
		case LESS:
			if (r[i->a] < r[i->b])
				i = code + i->value - 1;
			break;
		case ZERO:
			if (!r[i->a])
				i = code + i->value - 1;
			break;
		case GO:
			i = code + i->value - 1;
			break;
		case STORE:
			memory[r[i->a] % 1024] = r[i->b];
			break;
		case STOP:
			return r[i->a];
		}
	}
}

uint64_t program(uint64_t rounds)
{
	uint64_t sum = 0;

	for (uint64_t n = 0; n < rounds; n++) {
		uint64_t r[8] = { 100 * n + 2, 100 * n + 1002 };
		uint64_t found = interpret(primes, r);

		sum = mix(sum, found);
		for (uint64_t k = 0; k < found; k++)
			sum = mix(sum, memory[k]);
	}
	return sum;
}
