/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104). */
#include "sha256.h"

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))

static const uint32_t rounds[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static void block(struct sha256 *hash, const uint8_t *data)
{
	uint32_t w[64], s[8];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)data[4 * i] << 24 | data[4 * i + 1] << 16 | data[4 * i + 2] << 8 |
		       data[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t a = ROTATE(w[i - 15], 7) ^ ROTATE(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t b = ROTATE(w[i - 2], 17) ^ ROTATE(w[i - 2], 19) ^ w[i - 2] >> 10;
		w[i] = w[i - 16] + a + w[i - 7] + b;
	}
	for (int i = 0; i < 8; i++)
		s[i] = hash->state[i];
	for (int i = 0; i < 64; i++) {
		uint32_t e = ROTATE(s[4], 6) ^ ROTATE(s[4], 11) ^ ROTATE(s[4], 25);
		uint32_t a = ROTATE(s[0], 2) ^ ROTATE(s[0], 13) ^ ROTATE(s[0], 22);
		uint32_t choose = (s[4] & s[5]) ^ (~s[4] & s[6]);
		uint32_t most = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
		uint32_t t = s[7] + e + choose + rounds[i] + w[i];

		s[7] = s[6];
		s[6] = s[5];
		s[5] = s[4];
		s[4] = s[3] + t;
		s[3] = s[2];
		s[2] = s[1];
		s[1] = s[0];
		s[0] = t + a + most;
	}
	for (int i = 0; i < 8; i++)
		hash->state[i] += s[i];
}

void sha256_begin(struct sha256 *hash)
{
	static const uint32_t first[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	for (int i = 0; i < 8; i++)
		hash->state[i] = first[i];
	hash->length = 0;
}

void sha256_add(struct sha256 *hash, const uint8_t *data, unsigned length)
{
	for (unsigned i = 0; i < length; i++) {
		hash->data[hash->length++ % 64] = data[i];
		if (hash->length % 64 == 0)
			block(hash, hash->data);
	}
}

void sha256_end(struct sha256 *hash, uint8_t digest[SHA256_SIZE])
{
	static const uint8_t one = 0x80, zero = 0;
	uint64_t bits = 8 * hash->length;

	sha256_add(hash, &one, 1);
	while (hash->length % 64 != 56)
		sha256_add(hash, &zero, 1);
	for (int i = 7; i >= 0; i--) {
		uint8_t byte = bits >> 8 * i;
		sha256_add(hash, &byte, 1);
	}
	for (int i = 0; i < SHA256_SIZE; i++)
		digest[i] = hash->state[i / 4] >> (24 - i % 4 * 8);
}

void hmac_sha256(const uint8_t key[SHA256_SIZE], const uint8_t *data, unsigned length,
		 uint8_t mac[SHA256_SIZE])
{
	struct sha256 hash;
	uint8_t pad[64];

	for (int i = 0; i < 64; i++)
		pad[i] = (i < SHA256_SIZE ? key[i] : 0) ^ 0x36;
	sha256_begin(&hash);
	sha256_add(&hash, pad, 64);
	sha256_add(&hash, data, length);
	sha256_end(&hash, mac);
	for (int i = 0; i < 64; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha256_begin(&hash);
	sha256_add(&hash, pad, 64);
	sha256_add(&hash, mac, SHA256_SIZE);
	sha256_end(&hash, mac);
}
