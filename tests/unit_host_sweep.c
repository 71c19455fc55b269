// SPDX-License-Identifier: MIT
/*
 * tests/unit_host_sweep.c - each system call and allocation fails in turn (INV-2)
 *
 * An operation that reports a failure has changed nothing, one that reports
 * success has done all of it, and what is private is refused throughout.
 */
#include "tests/unit_host.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define PAGES 2048u
#define SWEEP_MAX 400

static struct host_file file;
static char *views[2];

/* Mixed: 300 private, 100 shared, 624 private, 512 shared, 512 private. */
static void setup(void)
{
	file_new(&file, PAGES * PAGE, true);
	convert(&file, 300, 100, false);
	convert(&file, 1024, 512, false);
	views[0] = map(&file, PAGES * PAGE, 0);
	views[1] = map(&file, 1500 * PAGE, 111 * PAGE);
	memset(views[0] + 1024 * PAGE, 3, 512 * PAGE);
}

static void teardown(void)
{
	host_munmap(views[0], PAGES * PAGE);
	host_munmap(views[1], 1500 * PAGE);
	host_file_fini(&file);
}

static bool states_are(u64 first, u64 count, bool is_private)
{
	return core_store_uniform(&file.store, (struct rt_pages){ first, count }, is_private);
}

struct operation {
	const char *name;
	long (*run)(void);
	bool (*unchanged)(void); /* what must hold after a failure, besides the audit */
	bool (*changed)(void);	 /* after success */
	void (*undo)(void);	 /* before the next setup, after success */
};

static long to_private(void)
{
	return convert(&file, 350, 1100, true);
}

static bool old_states(void)
{
	return states_are(0, 300, true) && states_are(300, 100, false) && states_are(400, 624, true) &&
	       states_are(1024, 512, false) && states_are(1536, 512, true);
}

static bool made_private(void)
{
	return states_are(350, 1100, true) && load(views[0] + 1030 * PAGE) == SIGBUS;
}

static long to_shared(void)
{
	return convert(&file, 10, 1800, false);
}

static bool made_shared(void)
{
	return states_are(10, 1800, false) && load(views[0] + 500 * PAGE) == 0 && load(views[0] + 9 * PAGE) == SIGBUS;
}

static long one_shared(void)
{
	return convert(&file, 700, 1, false);
}

static bool made_one(void)
{
	return load(views[0] + 700 * PAGE) == 0 && load(views[1] + (701 - 111) * PAGE) == SIGBUS;
}

static char *extra;

static long map_third(void)
{
	long ret = host_view_map(&file, NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, 0);

	extra = (char *)ret;
	return rt_is_err(ret) ? ret : 0;
}

static bool two_views(void)
{
	return old_states() && file.views == 2;
}

static bool three_views(void)
{
	return load(extra + 1024 * PAGE) == 0 && load(extra) == SIGBUS;
}

static void unmap_third(void)
{
	host_munmap(extra, PAGES * PAGE);
}

static long unmap_middle(void)
{
	return host_munmap(views[0] + 100 * PAGE, 1000 * PAGE);
}

/* The view may have been cut, which shows nowhere. */
static bool all_there(void)
{
	return old_states() && host_view_overlaps(views[0] + 500 * PAGE, PAGE) && load(views[0] + 350 * PAGE) == 0;
}

static bool middle_gone(void)
{
	return !host_view_overlaps(views[0] + 100 * PAGE, 1000 * PAGE) && load(views[0] + 1100 * PAGE) == 0;
}

static long read_only(void)
{
	return host_mprotect(views[0] + 310 * PAGE, 20 * PAGE, PROT_READ, -1);
}

static bool writable(void)
{
	return old_states() && store(views[0] + 315 * PAGE, 1) == 0;
}

static bool not_writable(void)
{
	return store(views[0] + 315 * PAGE, 1) == SIGSEGV && load(views[0] + 315 * PAGE) == 0;
}

static long move(void)
{
	long ret = host_mremap(views[1], 1500 * PAGE, 1600 * PAGE, MREMAP_MAYMOVE, NULL);

	if (rt_is_err(ret))
		return ret;
	views[1] = (char *)ret;
	return 0;
}

static bool moved(void)
{
	return load(views[1] + (1024 - 111) * PAGE) == 0 && load(views[1] + 1599 * PAGE) == SIGBUS;
}

static bool in_place(void)
{
	return old_states() && load(views[1] + (1024 - 111) * PAGE) == 0;
}

static void unmap_tail(void)
{
	host_munmap(views[1] + 1500 * PAGE, 100 * PAGE);
}

static const struct operation operations[] = {
	{ "convert to private", to_private, old_states, made_private, NULL },
	{ "convert to shared", to_shared, old_states, made_shared, NULL },
	{ "convert one page", one_shared, old_states, made_one, NULL },
	{ "map", map_third, two_views, three_views, unmap_third },
	{ "munmap", unmap_middle, all_there, middle_gone, NULL },
	{ "mprotect", read_only, writable, not_writable, NULL },
	{ "mremap", move, in_place, moved, unmap_tail },
};

static void sweep(const char *engine, const struct operation *op)
{
	unsigned long n = 0;
	bool good = true, fired = true;
	int failures = 0;

	for (n = 1; good && fired && n < SWEEP_MAX; n++) {
		long ret;

		setup();
		rt_fault_arm(n);
		ret = op->run();
		fired = rt_fault_fired();
		rt_fault_arm(0);
		failures += ret != 0;
		good = (ret == 0 || ret == -ENOMEM) && (ret ? op->unchanged() : op->changed()) && audit(&file) == 0;
		if (!good)
			diag("%s, %s: call %lu failing gives %ld", engine, op->name, n, ret);
		if (!ret && op->undo)
			op->undo();
		teardown();
		if (host_table.count || host_table.vmas) {
			diag("%s, %s: call %lu failing leaves %llu views", engine, op->name, n,
			     (unsigned long long)host_table.count);
			good = false;
		}
	}
	ok(good && !fired, "%s: %s survives %lu failing calls (%d reported)", engine, op->name, n - 2, failures);
}

static void create(const char *engine)
{
	bool fired = true, good = true;

	for (unsigned long n = 1; fired && good; n++) {
		int ret;

		rt_fault_arm(n);
		ret = file_new(&file, PAGES * PAGE, true);
		fired = rt_fault_fired();
		rt_fault_arm(0);
		good = ret == 0 || ret == -ENOMEM;
		if (!ret)
			host_file_fini(&file);
	}
	ok(good, "%s: creating a file fails with ENOMEM", engine);
}

static void all(const char *engine)
{
	int fds = (deny_fd(), open("/dev/null", O_RDONLY));
	u64 live = rt_alloc_live();

	close(fds);
	create(engine);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		sweep(engine, operations + i);
	if (rt_streq(engine, "dp")) {
		host_tuning.portable_flip = true;
		sweep("dp, portable flip", operations);
		sweep("dp, portable flip", operations + 1);
		host_tuning.portable_flip = false;
	}
	is(open("/dev/null", O_RDONLY), fds, "%s: no descriptor is left", engine);
	close(fds);
	is(maps_with("memfd:[gmem"), 0, "%s: no mapping is left", engine);
	is(rt_alloc_live(), live, "%s: no memory is left", engine);
}

int main(void)
{
	handlers_install();
	FOR_EACH_ENGINE(all);
	return done_testing();
}
