/* The PL011 with its reset values: QEMU and guestdbg send even if the baud rate is not set. */
#include "guest.h"

#ifndef UART_BASE
#define UART_BASE 0x09000000ul
#endif

#define UART_DR (*(volatile uint32_t *)(UART_BASE + 0x00))
#define UART_FR (*(volatile uint32_t *)(UART_BASE + 0x18))
#define FR_TXFF (1u << 5)

void put_char(char c)
{
	while (UART_FR & FR_TXFF)
		;
	UART_DR = (uint8_t)c;
}

void put(const char *text)
{
	for (; *text; text++)
		put_char(*text);
}

void put_dec(uint64_t value)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = '0' + value % 10;
		value /= 10;
	} while (value);
	while (n)
		put_char(digits[--n]);
}

void put_hex(uint64_t value)
{
	int shift = 60;

	put("0x");
	while (shift && !(value >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put_char("0123456789abcdef"[(value >> shift) & 15]);
}

void put_line(const char *text, uint64_t value)
{
	put(text);
	put_dec(value);
	put_char('\n');
}
