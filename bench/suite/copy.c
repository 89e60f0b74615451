/* memcpy between buffers of 64 KiB, by words, with any alignment; 16 pieces per round. */
#include "suite.h"

#define SIZE 65536
#define PIECES 16

static uint64_t buffers[2][SIZE / 8];

/* All accesses are aligned: if necessary, a word is combined from two words of the source. */
static void copy(uint8_t *to, const uint8_t *from, size_t length)
{
	for (; length && (uintptr_t)to & 7; length--)
		*to++ = *from++;
	if (length >= 8) {
		uint64_t *word = (uint64_t *)to;
		size_t words = length / 8, shift = ((uintptr_t)from & 7) * 8;

		if (!shift) {
			const uint64_t *source = (const uint64_t *)from;
			size_t n = words;

			for (; n >= 4; n -= 4, word += 4, source += 4) {
				uint64_t a = source[0], b = source[1], c = source[2], d = source[3];

				word[0] = a;
				word[1] = b;
				word[2] = c;
				word[3] = d;
			}
			while (n--)
				*word++ = *source++;
		} else {
			const uint64_t *source = (const uint64_t *)(from - shift / 8);
			uint64_t low = *source++;

			for (size_t n = words; n; n--) {
				uint64_t high = *source++;

				*word++ = low >> shift | high << (64 - shift);
				low = high;
			}
		}
		to += words * 8;
		from += words * 8;
		length &= 7;
	}
	while (length--)
		*to++ = *from++;
}

uint64_t program(uint64_t rounds)
{
	uint64_t state = 7, sum = 0;

	for (int i = 0; i < SIZE / 8; i++) {
		buffers[0][i] = (uint64_t)next_random(&state) << 32;
		buffers[0][i] |= next_random(&state);
	}
	while (rounds--) {
		for (int piece = 0; piece < PIECES; piece++) {
			int which = piece & 1;
			uint32_t length = next_random(&state) % (SIZE / 2);
			uint32_t to = next_random(&state) % (SIZE / 2);
			uint32_t from = next_random(&state) % (SIZE / 2);

			/* Every other pair of pieces has equal alignment, as is usual in real programs. */
			if (piece & 2)
				from = (from & ~7u) | (to & 7);
			copy((uint8_t *)buffers[!which] + to, (const uint8_t *)buffers[which] + from,
			     length);
		}
		for (int i = 0; i < SIZE / 8; i += 64)
			sum = mix(sum, buffers[0][i]);
	}
	for (int i = 0; i < SIZE / 8; i++)
		sum = mix(mix(sum, buffers[0][i]), buffers[1][i]);
	return sum;
}
