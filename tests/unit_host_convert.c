// SPDX-License-Identifier: MIT
/*
 * tests/unit_host_convert.c - map, convert, fault, unmap, on each engine
 */
#include "tests/unit_host.h"

static void single_page(const char *engine)
{
	struct host_file file;
	char *p;

	file_new(&file, 8 * REGION, true);
	p = map(&file, 8 * REGION, 0);
	ok(!rt_is_err((long)p), "%s: a private file is mapped", engine);
	is(load(p), SIGBUS, "%s: a private page raises SIGBUS", engine);
	is(touch_fault.offset, 0, "%s: with its offset", engine);
	is(peek(p + PAGE, 1), -EFAULT, "%s: and EFAULT for the kernel", engine);
	is(convert(&file, 5, 1, false), 0, "%s: page 5 to shared", engine);
	is(store(p + 5 * PAGE, 42), 0, "%s: page 5 can be written", engine);
	is(load(p + 4 * PAGE), SIGBUS, "%s: page 4 is still private", engine);
	is(load(p + 6 * PAGE), SIGBUS, "%s: page 6 is still private", engine);
	is(peek(p + 5 * PAGE, 2 * PAGE), PAGE, "%s: a read across its end is short", engine);
	is(audit(&file), 0, "%s: audit", engine);
	is(convert(&file, 5, 1, true), 0, "%s: page 5 to private", engine);
	is(load(p + 5 * PAGE), SIGBUS, "%s: page 5 is refused", engine);
	is(peek(p + 5 * PAGE, 1), -EFAULT, "%s: also to the kernel", engine);
	is(convert(&file, 5, 1, false), 0, "%s: and back", engine);
	is(p[5 * PAGE], 42, "%s: the contents survived", engine);
	is(host_munmap(p, 8 * REGION), 0, "%s: unmap", engine);
	is(host_table.count, 0, "%s: no view is left", engine);
	host_file_fini(&file);
}

/* DP-4: whether a page is touched between conversions, and whether it is expected to be, makes no difference. */
static void touched_or_not(const char *engine)
{
	unsigned readable = 0, lost = 0;
	struct host_file file;
	char *p;

	file_new(&file, REGION, false);
	p = map(&file, REGION, 0);
	for (unsigned i = 0; i < 200; i++) {
		u64 page = i * 7 % 16;

		if (i % 64 < 32 || i % 5 == 0)
			p[page * PAGE] = (char)(page + 1);
		convert(&file, page, 1, true);
		readable += load(p + page * PAGE) != SIGBUS || peek(p + page * PAGE, 1) != -EFAULT;
		convert(&file, page, 1, false);
		lost += i >= 16 && p[page * PAGE] != (char)(page + 1);
	}
	is(readable, 0, "%s: pages are refused, touched before or not", engine);
	is(lost, 0, "%s: and keep their contents", engine);
	is(audit(&file), 0, "%s: audit", engine);
	is(host_munmap(p, REGION), 0, "%s: unmap", engine);
	host_file_fini(&file);
}

static void ranges(const char *engine)
{
	struct host_file file;
	char *p;

	file_new(&file, 8 * REGION, false);
	p = map(&file, 8 * REGION, 0);
	memset(p, 7, 8 * REGION);
	is(convert(&file, 300, 1500, true), 0, "%s: pages 300 to 1799 to private", engine);
	is(load(p + 299 * PAGE), 0, "%s: the page before is shared", engine);
	is(load(p + 300 * PAGE), SIGBUS, "%s: the first is private", engine);
	is(load(p + 1799 * PAGE), SIGBUS, "%s: the last is private", engine);
	is(load(p + 1800 * PAGE), 0, "%s: the page after is shared", engine);
	is(audit(&file), 0, "%s: audit", engine);
	is(convert(&file, 0, 4096, true), 0, "%s: a mixed file to private", engine);
	is(audit(&file), 0, "%s: audit", engine);
	is(convert(&file, 700, 2000, false), 0, "%s: pages 700 to 2699 to shared", engine);
	is(audit(&file), 0, "%s: audit", engine);
	is(convert(&file, 0, 4096, false), 0, "%s: all to shared", engine);
	is(audit(&file), 0, "%s: audit", engine);
	is(p[1000 * PAGE], 7, "%s: the contents survived", engine);
	is(host_munmap(p, 8 * REGION), 0, "%s: unmap", engine);
	host_file_fini(&file);
}

/* Three views of one file, at odd offsets, one read-only, one beyond the end. */
static void several_views(const char *engine)
{
	struct host_file file;
	char *a, *b, *c;

	file_new(&file, 3 * REGION, true);
	convert(&file, 100, 600, false);
	a = map(&file, 3 * REGION, 0);
	b = (char *)host_view_map(&file, NULL, 700 * PAGE, PROT_READ, MAP_SHARED, 77 * PAGE);
	c = map(&file, 3 * REGION, 1300 * PAGE);
	is(audit(&file), 0, "%s: views of a mixed file agree", engine);
	is(store(a + 100 * PAGE, 9), 0, "%s: store through one", engine);
	is(b[23 * PAGE], 9, "%s: is seen through another", engine);
	is(store(b + 23 * PAGE, 1), SIGSEGV, "%s: which is read-only", engine);
	is(touch_fault.kind, HOST_FAULT_OTHER, "%s: as the kernel says", engine);
	is(load(c + 236 * PAGE), SIGBUS, "%s: beyond the end", engine);
	ok(touch_fault.beyond_end, "%s: is said so", engine);
	is(convert(&file, 90, 1446, true), 0, "%s: to private in all", engine);
	is(audit(&file), 0, "%s: audit", engine);
	is(convert(&file, 650, 700, false), 0, "%s: to shared in all", engine);
	is(audit(&file), 0, "%s: audit", engine);
	is(host_munmap(a, 3 * REGION), 0, "%s: unmap one", engine);
	is(convert(&file, 0, 1536, true), 0, "%s: convert with two", engine);
	is(audit(&file), 0, "%s: audit", engine);
	host_munmap(b, 700 * PAGE);
	host_munmap(c, 3 * REGION);
	is(file.views, 0, "%s: no view is left", engine);
	host_file_fini(&file);
}

static void huge(const char *engine)
{
	struct host_file file;
	double start = now_us(), took;
	char *p;

	is(file_new(&file, 1UL << 40, true), 0, "%s: 1 TiB private", engine);
	p = map(&file, 1UL << 40, 0);
	took = now_us() - start;
	ok(!rt_is_err((long)p), "%s: created and mapped", engine);
	diag("%s: in %.0f us", engine, took);
	is(load(p + (777UL << 30)), SIGBUS, "%s: refused", engine);
	is(convert(&file, 12345678, 1, false), 0, "%s: one page shared", engine);
	is(store(p + 12345678 * PAGE, 3), 0, "%s: and written", engine);
	start = now_us();
	is(convert(&file, 0, 1UL << 28, false), 0, "%s: all shared", engine);
	is(p[12345678 * PAGE], 3, "%s: contents", engine);
	is(convert(&file, 0, 1UL << 28, true), 0, "%s: all private", engine);
	diag("%s: 1 TiB to shared and back took %.0f us", engine, now_us() - start);
	is(load(p + 12345678 * PAGE), SIGBUS, "%s: refused again", engine);
	host_munmap(p, 1UL << 40);
	host_file_fini(&file);
	is(file_new(&file, 0x7ffffffffffff000UL, true), 0, "%s: the largest file", engine);
	start = now_us();
	is(convert(&file, 0, file.size / PAGE, false), 0, "%s: converts", engine);
	diag("%s: in %.0f us", engine, now_us() - start);
	p = map(&file, 2 * PAGE, file.size - 2 * PAGE);
	is(store(p + PAGE, 1), 0, "%s: its last page", engine);
	host_munmap(p, 2 * PAGE);
	host_file_fini(&file);
}

static void all(const char *engine)
{
	u64 live = rt_alloc_live();

	single_page(engine);
	touched_or_not(engine);
	ranges(engine);
	several_views(engine);
	huge(engine);
	is(rt_alloc_live(), live, "%s: no memory is left", engine);
	is(maps_with("memfd:[gmem"), 0, "%s: no mapping is left", engine);
	is(host_table.vmas, 0, "%s: no VMA is counted", engine);
}

int main(void)
{
	handlers_install();
	FOR_EACH_ENGINE(all);
	return done_testing();
}
