#ifndef STATS_H
#define STATS_H

#include <stdint.h>

#include "queue.h"

/* The sources of jobs. SOURCE_NONE is for jobs that the firmware makes itself. */
enum source { SOURCE_TIMER, SOURCE_NETWORK, SOURCE_DISK, SOURCE_CONSOLE, SOURCES, SOURCE_NONE = SOURCES };

struct source_stats {
	uint32_t budget; /* ticks that a job of this source may take; constant */
	uint32_t worst;  /* most ticks that a job has taken */
};

extern struct source_stats source_stats[SOURCES];

void stats_record(const struct job *job, uint32_t ticks);

#endif
