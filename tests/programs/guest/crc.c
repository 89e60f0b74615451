/* CRC-32 and CRC-32C by the CRC32 instructions, of pieces of every size and alignment. */
#include "guest.h"

#include <arm_acle.h>

static uint8_t data[4096];

/* A bit at a time, as a reference. */
static uint32_t slow(uint32_t polynomial, const uint8_t *from, size_t length)
{
	uint32_t crc = ~0u;

	while (length--) {
		crc ^= *from++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
	}
	return ~crc;
}

#define FAST(name, suffix)                                                                                  \
	static uint32_t name(const uint8_t *from, size_t length)                                             \
	{                                                                                                    \
		uint32_t crc = ~0u;                                                                          \
		uint64_t d;                                                                                  \
		uint32_t w;                                                                                  \
		uint16_t h;                                                                                  \
                                                                                                             \
		for (; length >= 8; length -= 8, from += 8)                                                  \
			memcpy(&d, from, 8), crc = __crc32##suffix##d(crc, d);                               \
		if (length & 4)                                                                              \
			memcpy(&w, from, 4), crc = __crc32##suffix##w(crc, w), from += 4;                    \
		if (length & 2)                                                                              \
			memcpy(&h, from, 2), crc = __crc32##suffix##h(crc, h), from += 2;                    \
		if (length & 1)                                                                              \
			crc = __crc32##suffix##b(crc, *from);                                                \
		return ~crc;                                                                                 \
	}
FAST(crc32, )
FAST(crc32c, c)

int main(void)
{
	uint64_t state = 51;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next_random(&state);
	for (size_t length = 0; length < 300; length++) {
		uint32_t a = crc32(data + length, length), b = crc32c(data + length, length);

		printf("%d %08x %08x\n", (int)length, (unsigned)a, (unsigned)b);
		wrong += a != slow(0xedb88320, data + length, length);
		wrong += b != slow(0x82f63b78, data + length, length);
	}
	printf("all %08x %08x\n", (unsigned)crc32(data, sizeof(data)), (unsigned)crc32c(data, sizeof(data)));
	return wrong;
}
