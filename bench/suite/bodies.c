/*
 * The Sun and the four giant planets, 200 steps of two hours per round, in double precision: scalar
 * arithmetic with divisions and square roots. Every fourth round begins with the same positions.
 */
#include "suite_fp.h"

#define BODIES 5
#define STEPS 200

struct body {
	double x[3], v[3], mass;
};

static const double sun = 39.47841760435743, days = 365.24;
static const double given[BODIES][7] = {
	{ 0, 0, 0, 0, 0, 0, 1 },
	{ 4.841431442464721, -1.1603200440274284, -0.10362204447112311, 0.001660076642744037,
	  0.007699011184197404, -0.0000690460016972063, 0.0009547919384243266 },
	{ 8.34336671824458, 4.124798564124305, -0.4035234171143214, -0.002767425107268624,
	  0.004998528012349172, 0.00002304172975737639, 0.0002858859806661308 },
	{ 12.894369562139131, -15.111151401698631, -0.22330757889265573, 0.002964601375647616,
	  0.0023784717395948095, -0.000029658956854023756, 0.00004366244043351563 },
	{ 15.379697114850917, -25.919314609987964, 0.17925877295037118, 0.0026806777249038932,
	  0.001628241700382423, -0.00009515922545197159, 0.000051513890204661145 },
};
static struct body bodies[BODIES];

static void begin(uint64_t round)
{
	for (int i = 0; i < BODIES; i++) {
		for (int k = 0; k < 3; k++) {
			bodies[i].x[k] = given[i][k] * (1 + (double)(round & 3) / 64);
			bodies[i].v[k] = given[i][k + 3] * days;
		}
		bodies[i].mass = given[i][6] * sun;
	}
}

static void step(double time)
{
	for (int i = 0; i < BODIES; i++) {
		struct body *a = &bodies[i];

		for (int j = i + 1; j < BODIES; j++) {
			struct body *b = &bodies[j];
			double dx = a->x[0] - b->x[0], dy = a->x[1] - b->x[1], dz = a->x[2] - b->x[2];
			double square = fused(dx, dx, fused(dy, dy, dz * dz));
			double force = time / (square * __builtin_sqrt(square));
			double of_a = a->mass * force, of_b = b->mass * force;

			a->v[0] = fused(-dx, of_b, a->v[0]);
			a->v[1] = fused(-dy, of_b, a->v[1]);
			a->v[2] = fused(-dz, of_b, a->v[2]);
			b->v[0] = fused(dx, of_a, b->v[0]);
			b->v[1] = fused(dy, of_a, b->v[1]);
			b->v[2] = fused(dz, of_a, b->v[2]);
		}
	}
	for (int i = 0; i < BODIES; i++)
		for (int k = 0; k < 3; k++)
			bodies[i].x[k] = fused(time, bodies[i].v[k], bodies[i].x[k]);
}

uint64_t program(uint64_t rounds)
{
	uint64_t sum = 0;

	for (uint64_t round = 0; round < rounds; round++) {
		begin(round);
		for (int n = 0; n < STEPS; n++)
			step(1.0 / (days * 12));
		for (int i = 0; i < BODIES; i++)
			for (int k = 0; k < 3; k++) {
				sum = mix(sum, bits_of_double(bodies[i].x[k]));
				sum = mix(sum, bits_of_double(bodies[i].v[k]));
			}
	}
	return sum;
}
