#ifndef SECURE_BOOT_H
#define SECURE_BOOT_H

#include "sha256.h"

/* An image and its signature, an HMAC-SHA-256 with the key of the device. */
extern const uint8_t device_key[SHA256_SIZE];
extern const uint8_t image_signature[SHA256_SIZE];
extern const char image[];
extern const unsigned image_size;

/* Starts the image if, and only if, its signature is right: plain.c, hardened.c. */
void boot(void);

/* How that ends. */
void reject(void) __attribute__((noreturn));
void fault_detected(void) __attribute__((noreturn));
void start_image(void) __attribute__((noreturn));

#endif
