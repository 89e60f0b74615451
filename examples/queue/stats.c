#include "stats.h"

struct source_stats source_stats[SOURCES] = {
	[SOURCE_TIMER] = {.budget = 20},
	[SOURCE_NETWORK] = {.budget = 60},
	[SOURCE_DISK] = {.budget = 90},
	[SOURCE_CONSOLE] = {.budget = 120},
};

static uint32_t over_budget;

static __attribute__((noinline)) void note_worst(struct source_stats *stats, uint32_t ticks)
{
	if (ticks > stats->worst)
		stats->worst = ticks;
}

void stats_record(const struct job *job, uint32_t ticks)
{
	struct source_stats *stats;

	if (job->source > SOURCES) /* jobs without a source are not counted */
		return;
	stats = &source_stats[job->source];
	note_worst(stats, ticks);
	if (ticks > stats->budget)
		over_budget++;
}
