/*
 * AES, SHA-1, SHA-256 and GHASH by the cryptographic instructions. The messages are of every length to
 * 200 bytes, and one of 100,000; Python's hashlib knows the digests. AES is that of FIPS 197, appendix
 * C, and encrypts and decrypts in a chain; GHASH is that of NIST's test case 2 of GCM.
 */
#include "guest.h"

#include <arm_neon.h>

static void print_bytes(const char *what, const uint8_t *bytes, int length)
{
	printf("%s ", what);
	while (length--)
		printf("%02x", *bytes++);
	printf("\n");
}

/* ---- SHA-256 ---- */

static const uint32_t k256[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void sha256_block(uint32_t *state, const uint8_t *block)
{
	uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4), abcd0 = abcd, efgh0 = efgh, w[4];

	for (int i = 0; i < 4; i++)
		w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(block + 16 * i)));
	for (int i = 0; i < 16; i++) {
		uint32x4_t sum = vaddq_u32(w[i & 3], vld1q_u32(k256 + 4 * i)), before = abcd;

		abcd = vsha256hq_u32(abcd, efgh, sum);
		efgh = vsha256h2q_u32(efgh, before, sum);
		if (i < 12)
			w[i & 3] = vsha256su1q_u32(vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3],
						   w[(i + 3) & 3]);
	}
	vst1q_u32(state, vaddq_u32(abcd, abcd0));
	vst1q_u32(state + 4, vaddq_u32(efgh, efgh0));
}

/* ---- SHA-1 ---- */

static void sha1_block(uint32_t *state, const uint8_t *block)
{
	static const uint32_t k[4] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
	uint32x4_t abcd = vld1q_u32(state), abcd0 = abcd, w[4];
	uint32_t e = state[4], e0 = e;

	for (int i = 0; i < 4; i++)
		w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(block + 16 * i)));
	for (int i = 0; i < 20; i++) {
		uint32x4_t sum = vaddq_u32(w[i & 3], vdupq_n_u32(k[i / 5]));
		uint32_t next = vsha1h_u32(vgetq_lane_u32(abcd, 0));

		if (i < 5)
			abcd = vsha1cq_u32(abcd, e, sum);
		else if (i < 10 || i >= 15)
			abcd = vsha1pq_u32(abcd, e, sum);
		else
			abcd = vsha1mq_u32(abcd, e, sum);
		e = next;
		if (i < 16)
			w[i & 3] = vsha1su1q_u32(vsha1su0q_u32(w[i & 3], w[(i + 1) & 3], w[(i + 2) & 3]),
						 w[(i + 3) & 3]);
	}
	vst1q_u32(state, vaddq_u32(abcd, abcd0));
	state[4] = e + e0;
}

/* The padding is the same for both. */
static void digest(uint32_t *state, int words, void (*block)(uint32_t *, const uint8_t *),
		   const uint8_t *message, size_t length, uint8_t *result)
{
	uint8_t last[128] = { 0 };
	size_t left = length % 64, size = left < 56 ? 64 : 128;

	for (size_t at = 0; at + 64 <= length; at += 64)
		block(state, message + at);
	memcpy(last, message + length - left, left);
	last[left] = 0x80;
	for (int i = 0; i < 8; i++)
		last[size - 1 - i] = (uint8_t)((uint64_t)length * 8 >> (8 * i));
	for (size_t at = 0; at < size; at += 64)
		block(state, last + at);
	for (int i = 0; i < words; i++)
		for (int j = 0; j < 4; j++)
			result[4 * i + j] = (uint8_t)(state[i] >> (24 - 8 * j));
}

static void hash(const uint8_t *message, size_t length)
{
	uint32_t sha1[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	uint32_t sha256[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	uint8_t result[32];

	digest(sha1, 5, sha1_block, message, length, result);
	printf("%d ", (int)length);
	print_bytes("sha1", result, 20);
	digest(sha256, 8, sha256_block, message, length, result);
	printf("%d ", (int)length);
	print_bytes("sha256", result, 32);
}

/* ---- AES ---- */

/* The S-box, one byte at a time: AESE with a round key of 0, with rows that are not shifted. */
static uint32_t substitute(uint32_t word)
{
	uint8x16_t all = vreinterpretq_u8_u32(vdupq_n_u32(word));

	return vgetq_lane_u32(vreinterpretq_u32_u8(vaeseq_u8(all, vdupq_n_u8(0))), 0);
}

static int expand(const uint8_t *key, int words, uint8x16_t *keys)
{
	uint32_t w[60], rounds = (uint32_t)words + 6, rcon = 1;

	memcpy(w, key, 4 * (size_t)words);
	for (uint32_t i = (uint32_t)words; i < 4 * (rounds + 1); i++) {
		uint32_t t = w[i - 1];

		if (i % (uint32_t)words == 0) {
			t = substitute(t >> 8 | t << 24) ^ rcon;
			rcon = rcon << 1 ^ (rcon & 0x80 ? 0x11b : 0);
		} else if (words > 6 && i % (uint32_t)words == 4) {
			t = substitute(t);
		}
		w[i] = w[i - (uint32_t)words] ^ t;
	}
	for (uint32_t i = 0; i <= rounds; i++)
		keys[i] = vreinterpretq_u8_u32(vld1q_u32(w + 4 * i));
	return (int)rounds;
}

static uint8x16_t encrypt(uint8x16_t state, const uint8x16_t *keys, int rounds)
{
	for (int i = 0; i < rounds - 1; i++)
		state = vaesmcq_u8(vaeseq_u8(state, keys[i]));
	return veorq_u8(vaeseq_u8(state, keys[rounds - 1]), keys[rounds]);
}

static uint8x16_t decrypt(uint8x16_t state, const uint8x16_t *keys, int rounds)
{
	state = vaesdq_u8(state, keys[rounds]);
	for (int i = rounds - 1; i > 0; i--)
		state = vaesdq_u8(vaesimcq_u8(state), vaesimcq_u8(keys[i]));
	return veorq_u8(state, keys[0]);
}

static void aes(int words)
{
	uint8_t key[32], text[16], result[16];
	uint8x16_t keys[15], state;
	int rounds;

	for (int i = 0; i < 32; i++)
		key[i] = (uint8_t)i;
	for (int i = 0; i < 16; i++)
		text[i] = (uint8_t)(0x11 * i);
	rounds = expand(key, words, keys);
	state = encrypt(vld1q_u8(text), keys, rounds);
	vst1q_u8(result, state);
	printf("aes-%d ", 32 * words);
	print_bytes("encrypted", result, 16);
	vst1q_u8(result, decrypt(state, keys, rounds));
	print_bytes("decrypted", result, 16);
	for (int i = 0; i < 20000; i++)
		state = encrypt(state, keys, rounds);
	vst1q_u8(result, state);
	print_bytes("20000 times", result, 16);
	for (int i = 0; i < 20001; i++)
		state = decrypt(state, keys, rounds);
	vst1q_u8(result, state);
	print_bytes("and back", result, 16);
}

/* ---- GHASH: x**128 + x**7 + x**2 + x + 1, with the bits of each byte the other way round ---- */

static uint64x2_t carryless(uint64_t a, uint64_t b)
{
	return vreinterpretq_u64_p128(vmull_p64((poly64_t)a, (poly64_t)b));
}

static uint8x16_t field_product(uint8x16_t x, uint8x16_t y)
{
	uint64x2_t a = vreinterpretq_u64_u8(vrbitq_u8(x)), b = vreinterpretq_u64_u8(vrbitq_u8(y));
	uint64x2_t low = carryless(vgetq_lane_u64(a, 0), vgetq_lane_u64(b, 0));
	uint64x2_t high = vreinterpretq_u64_p128(vmull_high_p64(vreinterpretq_p64_u64(a),
								vreinterpretq_p64_u64(b)));
	uint64x2_t middle = veorq_u64(carryless(vgetq_lane_u64(a, 0), vgetq_lane_u64(b, 1)),
				      carryless(vgetq_lane_u64(a, 1), vgetq_lane_u64(b, 0)));
	uint64x2_t nothing = vdupq_n_u64(0), folded;

	low = veorq_u64(low, vextq_u64(nothing, middle, 1));
	high = veorq_u64(high, vextq_u64(middle, nothing, 1));
	folded = carryless(vgetq_lane_u64(high, 1), 0x87);
	low = veorq_u64(low, vextq_u64(nothing, folded, 1));
	high = veorq_u64(high, vextq_u64(folded, nothing, 1));
	low = veorq_u64(low, carryless(vgetq_lane_u64(high, 0), 0x87));
	return vrbitq_u8(vreinterpretq_u8_u64(low));
}

static void ghash(void)
{
	static const uint8_t h[16] = { 0x66, 0xe9, 0x4b, 0xd4, 0xef, 0x8a, 0x2c, 0x3b,
				       0x88, 0x4c, 0xfa, 0x59, 0xca, 0x34, 0x2b, 0x2e };
	static const uint8_t c[16] = { 0x03, 0x88, 0xda, 0xce, 0x60, 0xb6, 0xa3, 0x92,
				       0xf3, 0x28, 0xc2, 0xb9, 0x71, 0xb2, 0xfe, 0x78 };
	static const uint8_t lengths[16] = { [15] = 0x80 };
	uint8x16_t key = vld1q_u8(h), sum = field_product(vld1q_u8(c), key);
	uint8_t result[16];

	sum = field_product(veorq_u8(sum, vld1q_u8(lengths)), key);
	vst1q_u8(result, sum);
	print_bytes("ghash", result, 16);
	for (int i = 0; i < 2000; i++)
		sum = field_product(sum, veorq_u8(sum, key));
	vst1q_u8(result, sum);
	print_bytes("2000 times", result, 16);
}

static uint8_t message[100000];

int main(void)
{
	uint64_t state = 41;

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)next_random(&state);
	for (size_t length = 0; length <= 200; length++)
		hash(message + length, length);
	hash(message, 100000);
	aes(4);
	aes(6);
	aes(8);
	ghash();
	return 0;
}
