/*
 * A small firmware main loop: sources make jobs, the queue holds them, a worker takes them out, and
 * statistics are kept. At the end more jobs were done than made ("queue corrupt"), and the console
 * does not say why: other code overwrites queue.tail. A watchpoint on it finds that code.
 * Everything is deterministic: every run is the same.
 */
#include "guest.h"
#include "queue.h"
#include "stats.h"

#define JOBS 20000
#define SELF_TEST_EVERY 6007
#define REPORT_EVERY 5000

static uint32_t made, done;
static uint32_t sum_made, sum_done;
static uint32_t seed = 2026;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 16) % below;
}

static void submit(enum source source, uint32_t cost)
{
	struct job job = {.id = made, .source = (uint16_t)source, .cost = (uint16_t)cost};

	if (!queue_push(&queue, job))
		return; /* full: the source tries again later */
	made++;
	sum_made += job.id;
}

static void sources_poll(void)
{
	uint32_t n = chance(4);

	while (n-- && made < JOBS) {
		if (made % SELF_TEST_EVERY == SELF_TEST_EVERY - 1)
			submit(SOURCE_NONE, 900 + chance(100));
		else
			submit((enum source)chance(SOURCES), 4 + chance(60));
	}
}

/* The work of a job: a loop of as many turns as the job costs. */
static uint32_t job_run(const struct job *job)
{
	uint32_t ticks = 0, x = job->id | 1;

	while (ticks < job->cost) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		ticks++;
	}
	__asm__ volatile("" ::"r"(x)); /* so that the compiler keeps the loop */
	return ticks;
}

static __attribute__((noinline)) void job_finish(const struct job *job, uint32_t ticks)
{
	done++;
	sum_done += job->id;
	stats_record(job, ticks);
	if (done % REPORT_EVERY == 0)
		put_line("jobs done: ", done);
}

static __attribute__((noinline)) void worker(void)
{
	struct job job;
	uint32_t n = 1 + chance(3);

	while (n-- && queue_pop(&queue, &job))
		job_finish(&job, job_run(&job));
}

int main(void)
{
	put("queue: start\n");
	while (made < JOBS || queue.head != queue.tail) {
		sources_poll();
		worker();
	}
	put_line("jobs made: ", made);
	put_line("jobs done: ", done);
	put_line("longest queue: ", queue.peak);
	if (done != made || sum_done != sum_made) {
		put("queue corrupt\n");
		return 1;
	}
	put("queue: all well\n");
	return 0;
}
