/* A linked list of 2,048 nodes out of a pool: filled, merge-sorted, reversed, thinned, emptied. */
#include "suite.h"

#define COUNT 2048

struct node {
	struct node *next;
	uint64_t value;
};

static struct node pool[COUNT];
static struct node *unused;

static struct node *push(struct node *list, uint64_t value)
{
	struct node *node = unused;

	unused = node->next;
	node->next = list;
	node->value = value;
	return node;
}

static void release(struct node *node)
{
	node->next = unused;
	unused = node;
}

static struct node *merge(struct node *a, struct node *b)
{
	struct node *first = NULL, **end = &first;

	while (a && b) {
		struct node **smaller = a->value <= b->value ? &a : &b;

		*end = *smaller;
		end = &(*end)->next;
		*smaller = *end;
	}
	*end = a ? a : b;
	return first;
}

/* Bottom up: runs[n] is a sorted list of 2**n nodes, or empty. */
static struct node *sort(struct node *list)
{
	struct node *runs[12] = { NULL };
	struct node *sorted = NULL;

	while (list) {
		struct node *run = list;
		int n = 0;

		list = list->next;
		run->next = NULL;
		for (; runs[n]; n++) {
			run = merge(runs[n], run);
			runs[n] = NULL;
		}
		runs[n] = run;
	}
	for (int n = 0; n < 12; n++)
		sorted = merge(runs[n], sorted);
	return sorted;
}

static struct node *reverse(struct node *list)
{
	struct node *reversed = NULL;

	while (list) {
		struct node *next = list->next;

		list->next = reversed;
		reversed = list;
		list = next;
	}
	return reversed;
}

/* Removes the values that three divides. */
static void thin(struct node **link)
{
	while (*link) {
		struct node *node = *link;

		if (node->value % 3 == 0) {
			*link = node->next;
			release(node);
		} else {
			link = &node->next;
		}
	}
}

uint64_t program(uint64_t rounds)
{
	uint64_t state = 6, sum = 0;

	for (int i = 0; i < COUNT; i++)
		release(&pool[i]);
	while (rounds--) {
		struct node *list = NULL;

		for (int i = 0; i < COUNT; i++)
			list = push(list, next_random(&state));
		list = reverse(sort(list));
		thin(&list);
		while (list) {
			struct node *next = list->next;

			sum = mix(sum, list->value);
			release(list);
			list = next;
		}
	}
	return sum;
}
