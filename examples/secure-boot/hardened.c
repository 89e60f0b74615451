/*
 * The same check, written so that one skipped instruction does not defeat it:
 *
 * - the bytes are compared without branches, and how many there were is part of the answer;
 * - the answer "yes" is a value with many bits, which no register has by chance;
 * - it is computed twice, and each decision is made by two branches;
 * - the image is started by a function that wants to see both answers: to come to it is not enough.
 */
#include "secure-boot.h"

#define YES 0x3ca59d12u
#define STEP 0x01010101u

/* The compiler must neither know what is in a variable nor find that it was tested before. */
#define HIDE(variable) __asm__ volatile("" : "+r"(variable))

static uint32_t __attribute__((noinline)) check_signature(const uint8_t *data, unsigned size)
{
	uint8_t mac[SHA256_SIZE] = {0};
	uint32_t difference = 0, compared = YES - SHA256_SIZE * STEP;

	hmac_sha256(device_key, data, size, mac);
	for (int i = 0; i < SHA256_SIZE; i++) {
		difference |= mac[i] ^ image_signature[i];
		compared += STEP;
	}
	HIDE(difference);
	/* One bit of the difference changes many bits of the answer. */
	return compared ^ difference * 0x9e3779b1u;
}

static void __attribute__((noinline, noreturn)) start(uint32_t first, uint32_t second)
{
	if (first != YES)
		fault_detected();
	HIDE(first);
	HIDE(second);
	if ((first ^ second) != 0xffffffffu)
		fault_detected();
	HIDE(second);
	if (second != ~YES)
		fault_detected();
	start_image();
}

void boot(void)
{
	volatile uint32_t first = 0, second = 0;

	first = check_signature((const uint8_t *)image, image_size);
	if (first != YES)
		reject();
	second = ~check_signature((const uint8_t *)image, image_size);
	if (second != ~YES)
		reject();
	start(first, second);
}
