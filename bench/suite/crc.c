/* CRC-32 (the one of Ethernet and zlib), one table lookup per byte, over 16 KiB per round. */
#include "suite.h"

#define SIZE 16384

static uint32_t table[256];
static uint8_t data[SIZE];

static uint32_t crc32(const uint8_t *from, size_t length)
{
	uint32_t crc = ~0u;

	while (length--)
		crc = table[(crc ^ *from++) & 0xff] ^ crc >> 8;
	return ~crc;
}

uint64_t program(uint64_t rounds)
{
	uint64_t state = 3, sum = 0;

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
		table[i] = value;
	}
	for (int i = 0; i < SIZE; i++)
		data[i] = (uint8_t)next_random(&state);
	while (rounds--) {
		uint32_t crc = crc32(data, SIZE);

		/* Change the data for the next round. */
		data[crc % SIZE] ^= (uint8_t)(crc >> 24 | 1);
		sum = mix(sum, crc);
	}
	return sum;
}
