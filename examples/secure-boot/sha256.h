#ifndef SHA256_H
#define SHA256_H

#include <stdint.h>

#define SHA256_SIZE 32

struct sha256 {
	uint32_t state[8];
	uint64_t length; /* bytes so far */
	uint8_t data[64];
};

void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const uint8_t *data, unsigned length);
void sha256_end(struct sha256 *hash, uint8_t digest[SHA256_SIZE]);
void hmac_sha256(const uint8_t key[SHA256_SIZE], const uint8_t *data, unsigned length,
		 uint8_t mac[SHA256_SIZE]);

#endif
