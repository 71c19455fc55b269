// SPDX-License-Identifier: MIT
/*
 * tests/run_inplace_race.c - threads that touch while others convert
 *
 * A touch succeeds or raises SIGBUS; what was stored in a shared page is there
 * when the page is shared again; and after a conversion to private has returned
 * no store may arrive (the page would not read as it was left).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/run_inplace.h"

#define PAGES 64

static int kvm, vm, fd;
static char *view;
static atomic_int stop;
static atomic_uint odd_signals, bus_errors, stores;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Writes an increasing counter into the pages, each thread at its own word. */
static void *writer(void *arg)
{
	size_t word = (size_t)arg;
	unsigned char count = 0;

	while (!stop)
		for (size_t i = 0; i < PAGES && !stop; i++) {
			struct touch t = touch(view + i * PG + 64 * word, ++count);

			if (!t.sig)
				stores++;
			else if (t.sig == SIGBUS && t.code == BUS_ADRERR &&
				 t.addr == (uintptr_t)(view + i * PG + 64 * word))
				bus_errors++;
			else
				odd_signals++;
		}
	return NULL;
}

/* The kernel's access on a thread's behalf: a byte count or EFAULT. */
static void *reader(void *arg)
{
	int zero = open("/dev/zero", O_RDONLY);

	while (!stop)
		for (size_t i = 0; i < PAGES && !stop; i++) {
			ssize_t ret = read(zero, view + i * PG + 2048, 8);

			if (ret != 8 && !(ret == -1 && errno == EFAULT))
				odd_signals++;
		}
	close(zero);
	return NULL;
}

/* Random ranges go to private and back; after the first has returned they cannot be touched. */
static void converter_rounds(double seconds)
{
	double end = now() + seconds;
	unsigned rounds = 0, failed = 0, visible = 0;
	unsigned seed = 12345;

	while (now() < end) {
		size_t first = (seed = seed * 1103515245 + 12345) / 65536 % PAGES;
		size_t count = 1 + seed / 7 % 8;
		int ret;

		if (first + count > PAGES)
			count = PAGES - first;
		ret = set_attr2(fd, first * PG, count * PG, PRIVATE, NULL);
		/* A page may be in use by the reader's system call. */
		if (ret && errno == EAGAIN)
			continue;
		failed += ret != 0;
		visible += touch(view + first * PG, -1).sig != SIGBUS;
		visible += touch(view + (first + count - 1) * PG + PG - 1, -1).sig != SIGBUS;
		failed += fallocate(fd, 3, (off_t)(first * PG), (off_t)(count * PG)) != 0;
		if (rounds % 64 == 0)
			usleep(200);
		failed += set_attr2(fd, first * PG, count * PG, SHARED, NULL) != 0;
		rounds++;
	}
	ok(rounds > 100, "%s", "conversions went on");
	is(failed, 0, "conversions that failed");
	is(visible, 0, "private pages that could be touched after the conversion");
}

/* Private and punched: whatever is found there, when the writers have ended, arrived after the conversion. */
static void late_store_rounds(double seconds)
{
	double end = now() + seconds;
	unsigned rounds = 0, late = 0, failed = 0;

	while (now() < end) {
		int other = gmem_new(vm, PAGES * PG, SHAREABLE);
		pthread_t threads[2];

		view = map_shared(other, PAGES * PG, 0);
		stop = 0;
		for (size_t i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, writer, (void *)i);
		usleep(500);
		failed += set_attr2(other, 0, PAGES * PG, PRIVATE, NULL) != 0;
		failed += fallocate(other, 3, 0, PAGES * PG) != 0;
		usleep(300);
		stop = 1;
		for (size_t i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		failed += set_attr2(other, 0, PAGES * PG, SHARED, NULL) != 0;
		for (size_t i = 0; i < PAGES * PG; i++)
			late += view[i] != 0;
		munmap(view, PAGES * PG);
		close(other);
		rounds++;
	}
	ok(rounds > 10, "%s", "rounds were made");
	is(failed, 0, "calls that failed");
	is(late, 0, "stores that arrived in private pages");
}

int main(void)
{
	pthread_t threads[3];

	vm = inplace_vm(&kvm);
	fd = gmem_new(vm, PAGES * PG, SHAREABLE);
	view = map_shared(fd, PAGES * PG, 0);
	for (size_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, writer, (void *)i);
	pthread_create(&threads[2], NULL, reader, NULL);
	converter_rounds(1.5);
	stop = 1;
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is(odd_signals, 0, "touches that ended otherwise than in success or SIGBUS");
	ok(stores > 0, "%s", "stores succeeded");
	ok(bus_errors > 0, "%s", "touches were refused");
	late_store_rounds(1.5);
	return done_testing();
}
