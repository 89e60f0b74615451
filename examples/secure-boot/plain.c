/* The check as it is often written. One skipped instruction defeats it, in more than one place. */
#include "secure-boot.h"

static int __attribute__((noinline)) check_signature(const uint8_t *data, unsigned size)
{
	uint8_t mac[SHA256_SIZE];

	hmac_sha256(device_key, data, size, mac);
	for (int i = 0; i < SHA256_SIZE; i++) {
		if (mac[i] != image_signature[i])
			return 0;
	}
	return 1;
}

void boot(void)
{
	if (check_signature((const uint8_t *)image, image_size))
		start_image();
	reject();
}
