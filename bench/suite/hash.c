/* SHA-256 (FIPS 180-4) of 4 KiB per round; the digest goes into the data of the next round. */
#include "suite.h"

#define SIZE 4096

static const uint32_t constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint8_t data[SIZE];

static uint32_t rotate(uint32_t value, int by)
{
	return value >> by | value << (32 - by);
}

static void block(uint32_t state[8], const uint8_t *from)
{
	uint32_t w[64], v[8];

	for (int i = 0; i < 16; i++, from += 4)
		w[i] = (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | from[2] << 8 | from[3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3)
		       + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
	for (int i = 0; i < 8; i++)
		v[i] = state[i];
	for (int i = 0; i < 64; i++) {
		uint32_t a = v[0], e = v[4];
		uint32_t t1 = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25))
			      + ((e & v[5]) ^ (~e & v[6])) + constants[i] + w[i];
		uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22))
			      + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

		v[7] = v[6];
		v[6] = v[5];
		v[5] = e;
		v[4] = v[3] + t1;
		v[3] = v[2];
		v[2] = v[1];
		v[1] = a;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		state[i] += v[i];
}

static void sha256(uint32_t state[8])
{
	static const uint32_t initial[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	uint8_t end[64] = { 0x80 };

	end[62] = (uint8_t)(SIZE * 8 >> 8);
	end[63] = (uint8_t)(SIZE * 8);
	for (int i = 0; i < 8; i++)
		state[i] = initial[i];
	for (int at = 0; at < SIZE; at += 64)
		block(state, data + at);
	block(state, end);
}

uint64_t program(uint64_t rounds)
{
	uint64_t random = 2, sum = 0;

	for (int i = 0; i < SIZE; i++)
		data[i] = (uint8_t)next_random(&random);
	while (rounds--) {
		uint32_t digest[8];

		sha256(digest);
		for (int i = 0; i < 8; i++) {
			data[4 * i] = (uint8_t)(digest[i] >> 24);
			data[4 * i + 1] = (uint8_t)(digest[i] >> 16);
			data[4 * i + 2] = (uint8_t)(digest[i] >> 8);
			data[4 * i + 3] = (uint8_t)digest[i];
			sum = mix(sum, digest[i]);
		}
	}
	return sum;
}
