/*
 * A parser to fuzz: it has a bug, which few packets reach. A packet is in `buffer`, its size in
 * `length`. It begins with "PKT1"; records follow, each a letter, a byte that says how long its data
 * are, and these:
 *
 *     n   a name
 *     d   a number in decimal digits
 *     o   options of a packet that has a name: letters from a to d
 *     l   a list: its data are records, down to four levels
 *     e   the end
 */
#include "guest.h"

#define MOST_LEVELS 4

enum outcome { COMPLETE, NO_PACKET, BAD_RECORD, BAD_NUMBER, TOO_DEEP, BAD_NAME, BAD_OPTION };

uint8_t buffer[512];
uint32_t length;

struct summary {
	uint64_t total;
	uint32_t numbers;
	uint32_t levels;
	char name[24];
	uint32_t factor;
};

static struct summary summary = { .factor = 1 };

static void clear(void)
{
	summary.total = 0;
}

static void negate(void)
{
	summary.total = -summary.total;
}

static void twice(void)
{
	summary.factor = 2;
}

static void once(void)
{
	summary.factor = 1;
}

static void (*const options[])(void) = { clear, negate, twice, once };

static __attribute__((noinline)) enum outcome number(const uint8_t *data, uint32_t size)
{
	uint64_t value = 0;

	if (size == 0 || size > 9)
		return BAD_NUMBER;
	for (uint32_t i = 0; i < size; i++) {
		if (data[i] < '0' || data[i] > '9')
			return BAD_NUMBER;
		value = 10 * value + data[i] - '0';
	}
	summary.total += value * summary.factor;
	summary.numbers++;
	return COMPLETE;
}

static __attribute__((noinline)) enum outcome name(const uint8_t *data, uint32_t size)
{
	if (size == 0 || size >= sizeof(summary.name))
		return BAD_NAME;
	for (uint32_t i = 0; i < size; i++)
		summary.name[i] = data[i];
	summary.name[size] = 0;
	return COMPLETE;
}

static __attribute__((noinline)) enum outcome option(const uint8_t *data, uint32_t size)
{
	if (summary.name[0] == 0)
		return BAD_OPTION;
	for (uint32_t i = 0; i < size; i++) {
		/* The bug: the number of an option that comes before 'a' is negative. */
		int which = data[i] - 'a';

		if (which > 3)
			return BAD_OPTION;
		options[which]();
	}
	return COMPLETE;
}

static enum outcome records(const uint8_t *data, uint32_t size, uint32_t level)
{
	enum outcome outcome = COMPLETE;
	uint32_t at = 0;

	if (level >= MOST_LEVELS)
		return TOO_DEEP;
	if (level > summary.levels)
		summary.levels = level;
	while (outcome == COMPLETE && at < size) {
		uint8_t kind = data[at];
		uint32_t bytes;

		if (size - at < 2)
			return BAD_RECORD;
		bytes = data[at + 1];
		at += 2;
		if (bytes > size - at)
			return BAD_RECORD;
		switch (kind) {
		case 'n':
			outcome = name(data + at, bytes);
			break;
		case 'd':
			outcome = number(data + at, bytes);
			break;
		case 'o':
			outcome = option(data + at, bytes);
			break;
		case 'l':
			outcome = records(data + at, bytes, level + 1);
			break;
		case 'e':
			return bytes == 0 ? COMPLETE : BAD_RECORD;
		default:
			return BAD_RECORD;
		}
		at += bytes;
	}
	return outcome;
}

__attribute__((noinline)) enum outcome parse(void)
{
	if (length < 4 || buffer[0] != 'P' || buffer[1] != 'K' || buffer[2] != 'T' || buffer[3] != '1')
		return NO_PACKET;
	return records(buffer + 4, length - 4, 0);
}

int main(void)
{
	static const char packet[] = "PKT1n\6sensord\0021" "7o\002acl\005d\003400e";

	/* The string's last byte, zero, is the length of the last record. */
	length = sizeof(packet);
	for (uint32_t i = 0; i < length; i++)
		buffer[i] = packet[i];
	put_line("outcome: ", parse());
	put("packet of ");
	put(summary.name);
	put_line(": ", summary.total);
	return 0;
}
