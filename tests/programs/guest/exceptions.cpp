// C++ with exceptions, virtual functions, templates and floating point, on libsupc++ and libgcc's
// unwinder, whose saved registers include D8 to D15.
#include "guest.h"

#include <exception>
#include <new>
#include <typeinfo>

extern "C" {
void __register_frame(void *);
extern char eh_frame_start[];
void *__dso_handle;

// What libgcc and libsupc++ expect of glibc. There are no shared objects, one thread and one process.
int _dl_find_object(void *, void *)
{
	return -1;
}

int dl_iterate_phdr(void *, void *)
{
	return 0;
}

int pthread_mutex_lock(void *)
{
	return 0;
}

int pthread_mutex_unlock(void *)
{
	return 0;
}

int getpid()
{
	return 1;
}

int kill(int, int)
{
	finish(98);
}
}

namespace {

struct Traced {
	static int alive;
	double value;

	explicit Traced(double v) : value(v) { alive++; }
	Traced(const Traced &other) : value(other.value) { alive++; }
	~Traced() { alive--; }
};
int Traced::alive;

struct Error : std::exception {
	Traced where;
	int depth;

	Error(double v, int d) : where(v), depth(d) {}
	const char *what() const noexcept override { return "an error"; }
};

struct Shape {
	virtual ~Shape() {}
	virtual double area() const = 0;
};
struct Circle : Shape {
	float radius;
	explicit Circle(float r) : radius(r) {}
	double area() const override { return 3.141592653589793 * radius * radius; }
};
struct Box : Shape {
	double w, h;
	Box(double a, double b) : w(a), h(b) {}
	double area() const override
	{
		if (w < 0)
			throw Error(w, -1);
		return w * h;
	}
};

// Values in callee-saved FP registers live across the calls that throw.
__attribute__((noinline)) double descend(double x, int depth, double scale)
{
	Traced here(x);
	double left = x * scale, right = x / scale, sum = left - right;

	if (depth == 0) {
		if (x > 3)
			throw Error(x, depth);
		throw static_cast<int>(x * 100);
	}
	try {
		sum += descend(x * 1.25, depth - 1, scale + 0.5);
	} catch (int n) {
		if (depth % 3)
			throw;
		sum += n * right;
	}
	return sum + left * here.value;
}

template <typename T> T power(T base, int n)
{
	return n ? base * power(base, n - 1) : T(1);
}

} // namespace

int main()
{
	static Traced once(0.5);

	__register_frame(eh_frame_start);
	for (int depth = 0; depth < 12; depth++) {
		for (double x = 0.25; x < 2; x += 0.5) {
			try {
				double r = descend(x, depth, 0.75);

				printf("%d %g: %016llx\n", depth, x, (ull)bits_of_double(r));
			} catch (const Error &e) {
				printf("%d %g: %s %g\n", depth, x, e.what(), e.where.value);
			} catch (int n) {
				printf("%d %g: int %d\n", depth, x, n);
			}
		}
	}
	Shape *shapes[] = { new Circle(1.5f), new Box(2, 2.5), new Box(-1, 1), new Circle(1e20f) };
	for (Shape *shape : shapes) {
		try {
			printf("area %.9g\n", shape->area());
		} catch (const std::exception &e) {
			printf("%s\n", e.what());
		}
		printf("a box: %s\n", dynamic_cast<Box *>(shape) ? "yes" : "no");
		delete shape;
	}
	try {
		printf("%p\n", ::operator new(std::size_t(1) << 40));
	} catch (const std::bad_alloc &) {
		printf("no memory for a terabyte\n");
	}
	printf("%.9g %.9g %d\n", power(1.1, 20), double(power(1.1f, 20)), power(3, 12));
	printf("alive: %d\n", Traced::alive);
	return Traced::alive - 1;
}
