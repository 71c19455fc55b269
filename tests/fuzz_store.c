// SPDX-License-Identifier: MIT
/*
 * tests/fuzz_store.c - the page state store is read by threads and a signal handler while it is written
 *
 *	fuzz_store [--seconds N] [--seed S]
 *
 * Every answer about a page that no write touched meanwhile
 * must be exact (store_window.h, S4 and S6).  Without concurrency, and with inputs that a fuzzer finds:
 * harness_store.  A failing seed is printed.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "tests/store_model.h"
#include "tests/tap.h"

static u64 random_next(u64 *state)
{
	u64 z = *state += 0x9E3779B97F4A7C15ULL;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
	return z ^ z >> 31;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct model shared;
static int stop;
static u64 reads, handler_reads;
static u64 handler_state = 1;

/* One page and the run from it: exact wherever the version was even and did not move. */
static u64 read_once(u64 *state)
{
	u64 i = random_next(state) % MODEL_PAGES, limit = 1 + random_next(state) % 80, page = shared.shape->base + i;
	u32 before[81];
	bool is_private, run_state;
	u64 run, seen = rt_min(limit, MODEL_PAGES - i - 1) + 1;

	for (u64 k = 0; k < seen; k++)
		before[k] = __atomic_load_n(&shared.version[i + k], __ATOMIC_SEQ_CST);
	is_private = core_store_is_private(&shared.store, page);
	run = core_store_run(&shared.store, page, rt_min(limit, MODEL_PAGES - i), &run_state);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (u64 k = 0; k < rt_min(seen, run + 1); k++) {
		bool model = __atomic_load_n(&shared.state[i + k], __ATOMIC_SEQ_CST);

		if (before[k] & 1 || __atomic_load_n(&shared.version[i + k], __ATOMIC_SEQ_CST) != before[k])
			continue;
		if (!k)
			CHECK(is_private == model);
		if (k < run)
			CHECK(run_state == model);
		else if (run < limit)
			CHECK(run_state != model);
	}
	return 1;
}

static void *read_all_the_time(void *arg)
{
	u64 state = (u64)(uintptr_t)arg, n = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && !complaint)
		n += read_once(&state);
	__atomic_fetch_add(&reads, n, __ATOMIC_RELAXED);
	return NULL;
}

/* Runs in the writer, in the middle of whatever it does. */
static void read_in_handler(int signo)
{
	for (int i = 0; i < 8; i++)
		handler_reads += read_once(&handler_state);
}

static bool run_concurrently(const struct shape *shape, u64 seed, double until)
{
	struct itimerval tick = { { 0, 200 }, { 0, 200 } }, off = { { 0, 0 }, { 0, 0 } };
	pthread_t threads[2];
	sigset_t alarm_only;
	u64 state = seed;

	if (!model_init(&shared, shape, seed & 1))
		return false;
	stop = 0;
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, read_all_the_time, (void *)(seed + i + 1));
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
	while (now() < until && !complaint) {
		u64 base = shape->base, kind = random_next(&state), a = random_next(&state) % MODEL_PAGES;
		u64 n = random_next(&state), end = base + rt_min(a + n % 700 + 1, MODEL_PAGES);

		/* Mostly within a few regions, so that they become uniform and mixed again all the time. */
		if (kind % 64 == 0)
			model_set(&shared, 0, shape->pages, kind >> 8 & 1);
		else if (kind % 16 == 1)
			model_set(&shared, 0, base + a + 1, kind >> 8 & 1);
		else if (kind % 16 == 2)
			model_set(&shared, base + a, shape->pages, kind >> 8 & 1);
		else
			model_set(&shared, base + a, kind & 16 ? end : base + a + 1, kind >> 8 & 1);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (!complaint)
		compare_all(&shared);
	model_fini(&shared);
	return true;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = read_in_handler, .sa_flags = SA_RESTART };
	double seconds = 4, start = now();
	u64 seed = (u64)(start * 1e6);

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = atof(argv[i + 1]);
		else if (!strcmp(argv[i], "--seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
	}
	diag("seed %llu", (unsigned long long)seed);
	sigaction(SIGALRM, &sa, NULL);
	for (unsigned i = 0; i < RT_ARRAY_SIZE(shapes) && !complaint; i++) {
		double until = start + seconds * (i + 1) / (double)RT_ARRAY_SIZE(shapes);

		if (!run_concurrently(&shapes[i], seed + i, until))
			skip(1, "no address space for the window of shape %u", i);
	}
	if (complaint)
		diag("%s", complaint);
	ok(!complaint && reads && handler_reads, "%llu reads of threads and %llu of a signal handler during writes are exact",
	   (unsigned long long)reads, (unsigned long long)handler_reads);
	return done_testing();
}
