/*
 * A heater under a PID controller that computes in floating point. After some minutes the heater
 * stays off: a value of the controller has become a NaN, and everything that is computed from it is
 * one, too. Which value was the first, and where does it come from? A watchpoint tells:
 * `heater.integral if new != new`. Everything is deterministic: every run is the same.
 */
#include "guest.h"

#define STEPS 2000
#define SAMPLES 4
#define SECONDS 0.5

struct controller {
	double kp, ki, kd;
	double integral;
	double previous; /* the error of the step before */
	float power;     /* 0 to 1 */
};

struct controller heater = {.kp = 0.08, .ki = 0.004, .kd = 0.02};
double temperature = 20.0;
double target = 65.0;
float readings[SAMPLES];
static uint32_t seed = 2026;

/* From -1 to 1. */
static float noise(void)
{
	seed = seed * 1664525u + 1013904223u;
	return (float)(int32_t)seed * 0x1p-31f;
}

/* Some readings are far off, rarely all at once. */
__attribute__((noinline)) void sensor_read(void)
{
	for (int i = 0; i < SAMPLES; i++) {
		float spike = noise();

		readings[i] = (float)temperature + 0.25f * noise();
		if (spike > 0.78f)
			readings[i] += 400.0f;
	}
}

/* The mean of the readings that can be true. */
__attribute__((noinline)) double sensor_mean(void)
{
	double sum = 0.0, count = 0.0;

	for (int i = 0; i < SAMPLES; i++) {
		if (readings[i] < 150.0f) {
			sum += readings[i];
			count += 1.0;
		}
	}
	return sum / count;
}

__attribute__((noinline)) void control(struct controller *c, double measured)
{
	double error = target - measured;
	double power;

	c->integral += error * SECONDS;
	power = c->kp * error + c->ki * c->integral + c->kd * (error - c->previous) / SECONDS;
	c->previous = error;
	if (power < 0.0)
		power = 0.0;
	if (power > 1.0)
		power = 1.0;
	c->power = (float)power;
}

/* What the heater does in a step: 0 to 200 W. */
__attribute__((noinline)) void heat(float power)
{
	uint32_t watts = (uint32_t)(power * 200.0f); /* of a NaN it is 0 */

	temperature += SECONDS * (watts * 0.02 - (temperature - 20.0) * 0.04);
}

__attribute__((noinline)) int run(void)
{
	for (uint32_t step = 1; step <= STEPS; step++) {
		sensor_read();
		control(&heater, sensor_mean());
		heat(heater.power);
		if (step % 250 == 0)
			put_line("degrees: ", (uint64_t)temperature);
	}
	if (temperature < 60.0) {
		put("pid: cold\n");
		return 1;
	}
	put("pid: warm\n");
	return 0;
}

int main(void)
{
	/* CPACR_EL1.FPEN: floating point is trapped after a reset. */
	write_sysreg(CPACR_EL1, read_sysreg(CPACR_EL1) | 3 << 20);
	return run();
}
