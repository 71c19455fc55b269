// SPDX-License-Identifier: MIT
/*
 * tests/unit_host_budget.c - few VMAs allowed, and none left
 */
#include "tests/unit_host.h"

#define PAGES (1UL << 18) /* 1 GiB */

static u32 seed = 3;

static u32 rnd(u32 n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void bounded(const char *engine)
{
	struct host_file file;
	int most = 0, failed = 0;
	char *p;

	host_tuning.budget = 40;
	file_new(&file, PAGES * PAGE, true);
	p = map(&file, PAGES * PAGE, 0);
	for (int i = 0; i < 4000; i++) {
		failed += convert(&file, rnd(PAGES), 1, i % 4 == 3) != 0;
		if (i % 250 == 0) {
			int now = maps_with("memfd:");

			most = now > most ? now : most;
		}
	}
	is(failed, 0, "%s: 4000 conversions at random", engine);
	/* Engine "remap" may have two VMAs for each page that it serves on demand. */
	ok(most <= 42, "%s: with %d VMAs, 40 allowed", engine, most);
	is(audit(&file), 0, "%s: audit", engine);
	is(convert(&file, 0, PAGES, true), 0, "%s: all to private", engine);
	is(audit(&file), 0, "%s: audit", engine);
	host_munmap(p, PAGES * PAGE);
	host_file_fini(&file);
	host_tuning.budget = 0;
}

/* Take every mapping that the process may have: single pages of alternating protection. */
static char *exhaust(u64 *len)
{
	char *p = mmap(NULL, 200000 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u64 i = 0;

	*len = 200000 * PAGE;
	while (i < 200000 && mprotect(p + i * PAGE, PAGE, PROT_READ) == 0)
		i += 2;
	return p;
}

static void exhausted(const char *engine)
{
	struct host_file file;
	int failed = 0, private_failed = 0, wrong = 0;
	char *p, *filler;
	u64 len;

	if (host_caps()->max_map_count > 200000) {
		skip(4, "vm.max_map_count is too high to be reached");
		return;
	}
	file_new(&file, 16384 * PAGE, true);
	p = map(&file, 16384 * PAGE, 0);
	for (u64 i = 0; i < 16384; i += 1024)
		convert(&file, i + 7, 300, false);
	filler = exhaust(&len);
	for (int i = 0; i < 2000; i++) {
		u32 first = rnd(16384), count = 1 + rnd(3) * rnd(600);
		bool to_private = rnd(2), was_private;
		int ret;

		count = count > 16384 - first ? 16384 - first : count;
		was_private = core_store_is_private(&file.store, first);
		ret = convert(&file, first, count, to_private);
		failed += ret != 0;
		private_failed += ret != 0 && to_private;
		wrong += ret != 0 && ret != -ENOMEM;
		if (ret ? was_private : to_private)
			wrong += peek(p + first * PAGE, 1) == 1;
		else if (!host_engine->serves) /* which needs a VMA to serve a page */
			wrong += peek(p + first * PAGE, 1) != 1;
	}
	munmap(filler, len);
	diag("%s: %d of 2000 conversions failed without a VMA left, %d of them to private", engine, failed, private_failed);
	if (!host_engine->serves)
		is(private_failed, 0, "%s: denying needs none", engine);
	is(wrong, 0, "%s: each failed with ENOMEM and changed nothing", engine);
	is(audit(&file), 0, "%s: audit", engine);
	is(convert(&file, 0, 16384, false), 0, "%s: afterwards all is well", engine);
	is(audit(&file), 0, "%s: audit", engine);
	host_munmap(p, 16384 * PAGE);
	host_file_fini(&file);
}

static void all(const char *engine)
{
	bounded(engine);
	exhausted(engine);
}

int main(void)
{
	handlers_install();
	FOR_EACH_ENGINE(all);
	return done_testing();
}
