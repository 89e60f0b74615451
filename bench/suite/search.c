/* Horspool's string search: all occurrences of a word in 64 KiB of text of four letters. */
#include "suite.h"

#define SIZE 65536
#define LONGEST 12

static uint8_t text[SIZE];

static uint64_t places(const uint8_t *word, uint32_t length)
{
	uint32_t skip[256];
	uint64_t found = 0;

	for (int i = 0; i < 256; i++)
		skip[i] = length;
	for (uint32_t i = 0; i < length - 1; i++)
		skip[word[i]] = length - 1 - i;
	for (uint32_t at = 0; at <= SIZE - length; at += skip[text[at + length - 1]]) {
		uint32_t i = length;

		while (i && text[at + i - 1] == word[i - 1])
			i--;
		if (!i)
			found = mix(found, at);
	}
	return found;
}

uint64_t program(uint64_t rounds)
{
	uint64_t state = 4, sum = 0;

	for (int i = 0; i < SIZE; i++)
		text[i] = (uint8_t)('a' + (next_random(&state) >> 30));
	while (rounds--) {
		uint8_t word[LONGEST];
		uint32_t length = 4 + next_random(&state) % (LONGEST - 3);
		uint32_t from = next_random(&state) % (SIZE - LONGEST);

		for (uint32_t i = 0; i < length; i++)
			word[i] = text[from + i];
		sum = mix(sum, places(word, length));
	}
	return sum;
}
