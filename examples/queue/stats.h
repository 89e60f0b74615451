#ifndef STATS_H
#define STATS_H

#include <stdint.h>

#include "queue.h"

/* Where jobs come from. SOURCE_NONE marks those that the firmware makes for itself. */
enum source { SOURCE_TIMER, SOURCE_NETWORK, SOURCE_DISK, SOURCE_CONSOLE, SOURCES, SOURCE_NONE = SOURCES };

struct source_stats {
	uint32_t budget; /* ticks a job of this source may take; never changes */
	uint32_t worst;  /* most ticks that one has taken so far */
};

extern struct source_stats source_stats[SOURCES];

void stats_record(const struct job *job, uint32_t ticks);

#endif
