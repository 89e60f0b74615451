/* A fast Fourier transform of 1,024 complex numbers of REAL, there and back, and a convolution by it. */
#include "guest.h"

#include <float.h>
#include <math.h>

#define BITS 10
#define N (1 << BITS)

struct complex_number {
	REAL re, im;
};

static struct complex_number signal_[N], work[N], other[N], roots[N / 2];

static void transform(struct complex_number *v, int inverse)
{
	for (int i = 0, j = 0; i < N; i++) {
		if (i < j) {
			struct complex_number t = v[i];

			v[i] = v[j];
			v[j] = t;
		}
		for (int bit = N >> 1; (j ^= bit) < bit; bit >>= 1)
			;
	}
	for (int half = 1; half < N; half *= 2) {
		int stride = N / 2 / half;

		for (int start = 0; start < N; start += 2 * half)
			for (int k = 0; k < half; k++) {
				struct complex_number w = roots[k * stride];
				struct complex_number *p = &v[start + k], *q = p + half;
				REAL im = inverse ? -w.im : w.im;
				REAL re_part = q->re * w.re - q->im * im;
				REAL im_part = q->re * im + q->im * w.re;

				q->re = p->re - re_part;
				q->im = p->im - im_part;
				p->re += re_part;
				p->im += im_part;
			}
	}
	if (inverse)
		for (int i = 0; i < N; i++) {
			v[i].re /= N;
			v[i].im /= N;
		}
}

int main(void)
{
	uint64_t state = 11;
	REAL error = 0;

	for (int i = 0; i < N / 2; i++) {
		roots[i].re = (REAL)cos(2 * M_PI * i / N);
		roots[i].im = (REAL)-sin(2 * M_PI * i / N);
	}
	for (int i = 0; i < N; i++) {
		signal_[i].re = (REAL)(sin(2 * M_PI * 50 * i / N) + 0.5 * cos(2 * M_PI * 120 * i / N));
		signal_[i].im = (REAL)((int32_t)next_random(&state) / 2147483648.0 / 64);
		other[i] = work[i] = signal_[i];
	}
	transform(work, 0);
	printf("roots %016llx\n", (ull)mix_bytes(0, roots, sizeof(roots)));
	printf("spectrum %016llx\n", (ull)mix_bytes(0, work, sizeof(work)));
	for (int i = 0; i <= 120; i += 10)
		printf("%3d %.9e\n", i, (double)hypot(work[i].re, work[i].im));
	transform(work, 1);
	for (int i = 0; i < N; i++)
		error = fmax(error, hypot(work[i].re - signal_[i].re, work[i].im - signal_[i].im));
	printf("back %016llx, error %.9e\n", (ull)mix_bytes(0, work, sizeof(work)), (double)error);

	/* The cyclic convolution of the signal with itself. */
	transform(other, 0);
	for (int i = 0; i < N; i++) {
		REAL re = other[i].re * other[i].re - other[i].im * other[i].im;

		other[i].im = 2 * other[i].re * other[i].im;
		other[i].re = re;
	}
	transform(other, 1);
	printf("convolution %016llx\n", (ull)mix_bytes(0, other, sizeof(other)));
	printf("FPSR %llx\n", (ull)read_fpsr());
	return !(error < 100 * (sizeof(REAL) == 4 ? FLT_EPSILON : DBL_EPSILON));
}
