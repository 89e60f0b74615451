#ifndef QUEUE_H
#define QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct job {
	uint32_t id;
	uint16_t source;
	uint16_t cost;
};

#define QUEUE_SIZE 32

/* A ring buffer: jobs go in at tail and come out at head; one slot stays free (full or empty?). */
struct queue {
	uint32_t head;
	uint32_t tail;
	uint32_t size;
	uint32_t peak;
	struct job items[QUEUE_SIZE];
};

extern struct queue queue;

uint32_t queue_length(const struct queue *q);
bool queue_push(struct queue *q, struct job job);
bool queue_pop(struct queue *q, struct job *job);

#endif
