// SPDX-License-Identifier: MIT
/*
 * tests/fuzz_store.c - the page state store against a plain byte array
 *
 * As a libFuzzer harness (-DFUZZER_LIB -fsanitize=fuzzer) or alone:
 *
 *	fuzz_store [--seconds N] [--seed S]
 *
 * Alone it makes its own inputs, then lets threads and a signal handler read
 * while it writes: every answer about a page that no write touched meanwhile
 * must be exact (store_window.h, S4 and S6).  A failing input's seed is printed.
 *
 * The model covers MODEL_PAGES pages from a base; what lies below and above it
 * has one state each.  The shapes put the base at the beginning of a file, at a
 * GiB boundary, and where the dense part ends at 16 TiB.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#include "core/store.h"
#include "tests/tap.h"

#define MODEL_PAGES 6000U
#define GIB	    (1ULL << 18)

/* The first page of the model and the file's size in pages. */
static const struct shape {
	u64 base, pages;
} shapes[] = {
	{ 0, MODEL_PAGES }, /* ends within a region */
	{ 0, 3 * GIB },
	{ GIB - 2500, GIB + 3500 + 77 },
	{ 2 * GIB - 512 * 5, 2 * GIB - 512 * 5 + MODEL_PAGES },
	{ CORE_STORE_DENSE_PAGES - 3000, CORE_STORE_DENSE_PAGES + 3000 },
	{ CORE_STORE_DENSE_PAGES - 3000, 1ULL << 50 },
	{ CORE_STORE_DENSE_PAGES, CORE_STORE_DENSE_PAGES + MODEL_PAGES },
	{ CORE_STORE_DENSE_PAGES - GIB - 200, (1ULL << 51) - 1 },
};

struct model {
	struct core_store store;
	size_t window_size;
	const struct shape *shape;
	bool below, above;	 /* states of what lies outside */
	u8 state[MODEL_PAGES];	 /* [base, base + MODEL_PAGES) */
	u32 version[MODEL_PAGES]; /* odd while the page's state is being changed */
};

static const char *complaint; /* what the first failed comparison was */

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond) && !complaint)                                                                             \
			complaint = #cond;                                                                             \
	} while (0)

static bool model_init(struct model *m, const struct shape *shape, bool is_private)
{
	void *window;

	m->shape = shape;
	m->window_size = core_store_window_size(shape->pages);
	window = mmap(NULL, m->window_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (window == MAP_FAILED)
		return false;
	core_store_init(&m->store, window, shape->pages, is_private);
	m->below = m->above = is_private;
	memset(m->state, is_private, sizeof(m->state));
	memset(m->version, 0, sizeof(m->version));
	return true;
}

static void model_fini(struct model *m)
{
	munmap(m->store.window, m->window_size);
}

/* Set [first, end) of the file; first is within the model or 0, end within the model or the file's end. */
static void model_set(struct model *m, u64 first, u64 end, bool is_private)
{
	u64 base = m->shape->base, top = base + MODEL_PAGES;
	u64 from = rt_max(first, base) - base, to = rt_min(end, top) - base;
	struct rt_pages range = { first, end - first };

	if (core_store_reserve(&m->store, range, is_private))
		return;
	/* Pages that have the state already must keep it throughout: their version stays even. */
	for (u64 i = from; i < to; i++)
		if (m->state[i] != is_private)
			__atomic_store_n(&m->version[i], m->version[i] + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	core_store_set(&m->store, range, is_private);
	for (u64 i = from; i < to; i++) {
		if (m->state[i] == is_private)
			continue;
		__atomic_store_n(&m->state[i], is_private, __ATOMIC_RELEASE);
		__atomic_store_n(&m->version[i], m->version[i] + 1, __ATOMIC_RELEASE);
	}
	if (first < base)
		m->below = is_private;
	if (end > top)
		m->above = is_private;
}

/* The model's run from a page of its own, as core_store_run() would say. */
static u64 model_run(const struct model *m, u64 page, u64 limit)
{
	u64 i = page - m->shape->base, top = m->shape->base + MODEL_PAGES, n = 0;
	bool state = m->state[i];

	while (n < limit && i + n < MODEL_PAGES && m->state[i + n] == state)
		n++;
	if (i + n == MODEL_PAGES && m->above == state)
		n += rt_min(limit - n, m->shape->pages - top);
	return n;
}

static void compare_page(const struct model *m, u64 page, u64 limit)
{
	u64 i = page - m->shape->base, run = model_run(m, page, limit);
	struct rt_pages range = { page, limit };
	bool state = !m->state[i];

	CHECK(core_store_is_private(&m->store, page) == m->state[i]);
	CHECK(core_store_run(&m->store, page, limit, &state) == run);
	CHECK(state == m->state[i]);
	CHECK(core_store_uniform(&m->store, range, m->state[i]) == (run == limit));
	CHECK(!core_store_uniform(&m->store, range, !m->state[i]));
}

static void compare_all(const struct model *m)
{
	u64 base = m->shape->base, pages = m->shape->pages, top = base + MODEL_PAGES;
	struct rt_pages below = { 0, base }, above = { top, pages - top };

	for (u64 i = 0; i < MODEL_PAGES; i++)
		CHECK(core_store_is_private(&m->store, base + i) == m->state[i]);
	CHECK(core_store_uniform(&m->store, below, m->below));
	CHECK(core_store_uniform(&m->store, above, m->above));
	/* Regions that lie within the model. */
	for (u64 r = (base + CORE_REGION_PAGES - 1) / CORE_REGION_PAGES; r * CORE_REGION_PAGES < top; r++) {
		u64 end = rt_min((r + 1) * CORE_REGION_PAGES, pages);
		unsigned total = 0;

		if (end > top)
			break;
		for (u64 page = r * CORE_REGION_PAGES; page < end; page++)
			total += m->state[page - base];
		CHECK(core_store_region_private(&m->store, r) == total);
	}
}

/* Operations from bytes: kind, two page numbers of the model. */
struct input {
	const u8 *data;
	size_t size;
};

static u64 take(struct input *in, unsigned bytes)
{
	u64 value = 0;

	while (bytes-- && in->size) {
		value = value << 8 | *in->data++;
		in->size--;
	}
	return value;
}

static void step(struct model *m, struct input *in)
{
	u64 base = m->shape->base, kind = take(in, 1);
	u64 a = take(in, 2) % MODEL_PAGES, n = take(in, 2);
	bool is_private = kind & 1;

	switch (kind >> 1 & 7) {
	case 0: /* one page */
		model_set(m, base + a, base + a + 1, is_private);
		break;
	case 1: /* up to a word and a bit */
		n = n % 100 + 1;
		model_set(m, base + a, base + rt_min(a + n, MODEL_PAGES), is_private);
		break;
	case 2: /* any part */
		n = n % MODEL_PAGES + 1;
		model_set(m, base + a, base + rt_min(a + n, MODEL_PAGES), is_private);
		break;
	case 3: /* whole regions */
		a = rt_align_down(base + a, CORE_REGION_PAGES);
		n = a + (n % 4 + 1) * CORE_REGION_PAGES;
		if (a >= base && n <= base + MODEL_PAGES)
			model_set(m, a, n, is_private);
		break;
	case 4: /* from the beginning */
		model_set(m, 0, base + a + 1, is_private);
		break;
	case 5: /* to the end */
		model_set(m, base + a, m->shape->pages, is_private);
		break;
	case 6: /* everything, not too often */
		if (n % 8 == 0)
			model_set(m, 0, m->shape->pages, is_private);
		break;
	case 7: /* repair of a store that is not broken changes nothing */
		core_store_repair(&m->store, (struct rt_pages){ base + a, MODEL_PAGES - a });
		break;
	}
	n = take(in, 1);
	compare_page(m, base + a % MODEL_PAGES, rt_min(n * n + 1, m->shape->pages - base - a % MODEL_PAGES));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct model m;
	struct input in = { data, size };
	u64 first = take(&in, 1);

	if (!model_init(&m, &shapes[first / 2 % RT_ARRAY_SIZE(shapes)], first & 1))
		return 0;
	while (in.size && !complaint)
		step(&m, &in);
	compare_all(&m);
	model_fini(&m);
#ifdef FUZZER_LIB
	if (complaint) {
		fprintf(stderr, "%s\n", complaint);
		abort();
	}
#endif
	return 0;
}

#ifndef FUZZER_LIB

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

static u64 run_inputs(u64 seed, double until)
{
	static u8 data[3000];
	u64 runs = 0;

	for (; now() < until && !complaint; runs++) {
		u64 state = seed + runs, size = 1 + random_next(&state) % sizeof(data);

		for (u64 i = 0; i < size; i++)
			data[i] = (u8)random_next(&state);
		data[0] = (u8)runs;
		LLVMFuzzerTestOneInput(data, size);
		if (complaint)
			diag("seed %llu: %s", (unsigned long long)(seed + runs), complaint);
	}
	return runs;
}

/* Reading while writing. */

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
	u64 seed = (u64)(start * 1e6), runs;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = atof(argv[i + 1]);
		else if (!strcmp(argv[i], "--seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
	}
	diag("seed %llu", (unsigned long long)seed);
	runs = run_inputs(seed, start + seconds / 2);
	ok(!complaint && runs, "%llu inputs agree with a byte array", (unsigned long long)runs);

	sigaction(SIGALRM, &sa, NULL);
	for (unsigned i = 0; i < RT_ARRAY_SIZE(shapes) && !complaint; i++) {
		double until = start + seconds / 2 + seconds / 2 * (i + 1) / (double)RT_ARRAY_SIZE(shapes);

		if (!run_concurrently(&shapes[i], seed + i, until))
			skip(1, "no address space for the window of shape %u", i);
	}
	if (complaint)
		diag("%s", complaint);
	ok(!complaint && reads && handler_reads, "%llu reads of threads and %llu of a signal handler during writes are exact",
	   (unsigned long long)reads, (unsigned long long)handler_reads);
	return done_testing();
}

#endif
