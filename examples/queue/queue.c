#include "queue.h"

struct queue queue = {.size = QUEUE_SIZE};

uint32_t queue_length(const struct queue *q)
{
	return (q->tail + q->size - q->head) % q->size;
}

bool queue_push(struct queue *q, struct job job)
{
	uint32_t length = queue_length(q);

	if (length == q->size - 1)
		return false;
	q->items[q->tail] = job;
	q->tail = (q->tail + 1) % q->size;
	if (length + 1 > q->peak)
		q->peak = length + 1;
	return true;
}

bool queue_pop(struct queue *q, struct job *job)
{
	if (q->head == q->tail)
		return false;
	*job = q->items[q->head];
	q->head = (q->head + 1) % q->size;
	return true;
}
