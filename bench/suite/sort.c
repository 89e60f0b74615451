/* Quicksort (median of three, insertion sort for short parts) of 4,096 random numbers per round. */
#include "suite.h"

#define COUNT 4096
#define SHORT 12

static uint32_t numbers[COUNT];

static void insertion_sort(uint32_t *first, uint32_t *last)
{
	for (uint32_t *p = first + 1; p <= last; p++) {
		uint32_t value = *p, *to = p;

		for (; to > first && to[-1] > value; to--)
			*to = to[-1];
		*to = value;
	}
}

static void swap(uint32_t *a, uint32_t *b)
{
	uint32_t value = *a;

	*a = *b;
	*b = value;
}

static void sort(uint32_t *first, uint32_t *last)
{
	while (last - first >= SHORT) {
		uint32_t *middle = first + (last - first) / 2, *low = first, *high = last, pivot;

		if (*middle < *first)
			swap(middle, first);
		if (*last < *first)
			swap(last, first);
		if (*last < *middle)
			swap(last, middle);
		pivot = *middle;
		while (low <= high) {
			while (*low < pivot)
				low++;
			while (*high > pivot)
				high--;
			if (low <= high)
				swap(low++, high--);
		}
		/* Recursion for the shorter part only: the stack stays small. */
		if (high - first < last - low) {
			sort(first, high);
			first = low;
		} else {
			sort(low, last);
			last = high;
		}
	}
	insertion_sort(first, last);
}

uint64_t program(uint64_t rounds)
{
	uint64_t state = 1, sum = 0;

	while (rounds--) {
		for (int i = 0; i < COUNT; i++)
			numbers[i] = next_random(&state);
		sort(numbers, numbers + COUNT - 1);
		for (int i = 0; i < COUNT; i++)
			sum = mix(sum, numbers[i]);
	}
	return sum;
}
