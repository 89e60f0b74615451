/*
 * LINPACK: a system of N linear equations by Gaussian elimination with partial pivoting, in REAL; then
 * the product of two matrices. Prints the residual, and checksums over every bit of the results.
 */
#include "guest.h"

#include <float.h>
#include <math.h>

#define N 100

static REAL a[N][N], copy[N][N], product[N][N];
static REAL b[N], x[N], right[N];
static int pivots[N];

static void generate(void)
{
	int seed = 1325;

	for (int j = 0; j < N; j++)
		for (int i = 0; i < N; i++) {
			seed = 3125 * seed % 65536;
			copy[j][i] = a[j][i] = (REAL)((seed - 32768.0) / 16384.0);
		}
	for (int i = 0; i < N; i++)
		b[i] = 0;
	for (int j = 0; j < N; j++)
		for (int i = 0; i < N; i++)
			b[i] += a[j][i];
	memcpy(right, b, sizeof(b));
}

static int largest(int n, const REAL *v)
{
	int at = 0;

	for (int i = 1; i < n; i++)
		if (fabs(v[i]) > fabs(v[at]))
			at = i;
	return at;
}

static void add_multiple(int n, REAL factor, const REAL *from, REAL *to)
{
	for (int i = 0; i < n; i++)
		to[i] += factor * from[i];
}

/* Columns are contiguous: a[column][row]. */
static int factorise(void)
{
	for (int k = 0; k < N - 1; k++) {
		int l = k + largest(N - k, &a[k][k]);
		REAL t = a[k][l];

		pivots[k] = l;
		if (t == 0)
			return k + 1;
		a[k][l] = a[k][k];
		a[k][k] = t;
		t = -1 / t;
		for (int i = k + 1; i < N; i++)
			a[k][i] *= t;
		for (int j = k + 1; j < N; j++) {
			t = a[j][l];
			a[j][l] = a[j][k];
			a[j][k] = t;
			add_multiple(N - k - 1, t, &a[k][k + 1], &a[j][k + 1]);
		}
	}
	pivots[N - 1] = N - 1;
	return a[N - 1][N - 1] == 0 ? N : 0;
}

static void solve(void)
{
	for (int k = 0; k < N - 1; k++) {
		int l = pivots[k];
		REAL t = b[l];

		b[l] = b[k];
		b[k] = t;
		add_multiple(N - k - 1, t, &a[k][k + 1], &b[k + 1]);
	}
	for (int k = N - 1; k >= 0; k--) {
		b[k] /= a[k][k];
		add_multiple(k, -b[k], a[k], b);
	}
	memcpy(x, b, sizeof(b));
}

static void multiply(void)
{
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++) {
			REAL factor = copy[i][k];

			for (int j = 0; j < N; j++)
				product[i][j] += factor * copy[k][j];
		}
}

int main(void)
{
	REAL residual = 0, norm = 0, size = 0;
	int singular;

	generate();
	singular = factorise();
	solve();
	for (int j = 0; j < N; j++)
		add_multiple(N, -x[j], copy[j], right);
	for (int i = 0; i < N; i++) {
		residual = fmax(residual, fabs(right[i]));
		size = fmax(size, fabs(x[i]));
		for (int j = 0; j < N; j++)
			norm = fmax(norm, fabs(copy[j][i]));
	}
	multiply();
	printf("singular: %d\n", singular);
	printf("residual %.9e, norm %.9e, solution %.9e\n", (double)residual, (double)norm, (double)size);
	/* Every component of the solution is 1: the right side is the sum of the columns. */
	for (int i = 0; i < N; i += 33)
		printf("x[%d] = %.17g %016llx\n", i, (double)x[i], (ull)bits_of_double((double)x[i]));
	printf("factors %016llx\n", (ull)mix_bytes(0, a, sizeof(a)));
	printf("solution %016llx\n", (ull)mix_bytes(0, x, sizeof(x)));
	printf("product %016llx\n", (ull)mix_bytes(0, product, sizeof(product)));
	printf("FPSR %llx\n", (ull)read_fpsr());
	return !(residual < 100 * N * (sizeof(REAL) == 4 ? FLT_EPSILON : DBL_EPSILON));
}
