// SPDX-License-Identifier: MIT
/*
 * tests/unit_host_random.c - random scripts of calls against a plain array
 *
 * The model of an arena of addresses: for each page which page of the file it maps, if any, with
 * which protection; for each page of the file its state and first byte.
 */
#include "tests/unit_host.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define FILE_PAGES  2300u /* ends within a region */
#define ARENA_PAGES 3000u
#define NONE        0xffffffffu

static struct host_file file;
static char *arena;
static u32 mapped[ARENA_PAGES]; /* page of the file, or NONE */
static int prots[ARENA_PAGES];
static bool private_[FILE_PAGES];
static unsigned char bytes[FILE_PAGES];
static u32 seed;

static u32 rnd(u32 n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static u32 rnd_count(u32 limit)
{
	static const u32 most[] = { 1, 3, 40, 700, 3000 };
	u32 n = 1 + rnd(most[rnd(5)]);

	return n > limit ? limit : n;
}

static int rnd_prot(void)
{
	static const int choice[] = { PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE };

	return choice[rnd(4)];
}

static bool op_convert(void)
{
	u32 first = rnd(FILE_PAGES), count = rnd_count(FILE_PAGES - first);
	bool to_private = rnd(2);

	if (convert(&file, first, count, to_private))
		return false;
	for (u32 i = first; i < first + count; i++)
		private_[i] = to_private;
	return true;
}

static void model_map(u32 at, u32 count, u32 page, int prot)
{
	for (u32 i = 0; i < count; i++) {
		mapped[at + i] = page + i;
		prots[at + i] = prot;
	}
}

static bool op_map(void)
{
	u32 at = rnd(ARENA_PAGES), count = rnd_count(ARENA_PAGES - at), page = rnd(FILE_PAGES + 20);
	int prot = rnd_prot();
	char *want = arena + at * PAGE;
	long ret = host_view_map(&file, want, count * PAGE, prot, MAP_SHARED | MAP_FIXED, page * PAGE);

	if ((char *)ret != want) {
		diag("mapping %u pages from %u: %ld", count, page, ret);
		return false;
	}
	model_map(at, count, page, prot);
	return true;
}

/* Foreign memory over it, so that nothing else takes the place. */
static bool reserve(u32 at, u32 count)
{
	char *want = arena + at * PAGE;

	if ((char *)host_mmap_over(want, count * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != want)
		return false;
	for (u32 i = at; i < at + count; i++)
		mapped[i] = NONE;
	return true;
}

static bool op_unmap(void)
{
	u32 at = rnd(ARENA_PAGES), count = rnd_count(ARENA_PAGES - at);

	if (rnd(2) && host_munmap(arena + at * PAGE, count * PAGE))
		return false;
	return reserve(at, count);
}

static bool op_mprotect(void)
{
	u32 at = rnd(ARENA_PAGES), count = rnd_count(ARENA_PAGES - at), i;
	int prot = rnd_prot();

	if (host_mprotect(arena + at * PAGE, count * PAGE, prot, -1))
		return false;
	for (i = at; i < at + count; i++) {
		if (mapped[i] != NONE)
			prots[i] = prot;
		else
			reserve(i, 1); /* keep foreign pages PROT_NONE */
	}
	return true;
}

/* A run of pages that is one view. */
static u32 run_at(u32 at, u32 limit)
{
	u32 n = 1;

	while (n < limit && mapped[at + n] == mapped[at] + n && prots[at + n] == prots[at])
		n++;
	return n;
}

/* Move, duplicate or shift by DONTUNMAP; EFAULT when what the model sees as one run was mapped in several calls. */
static bool op_mremap(void)
{
	u32 from = rnd(ARENA_PAGES), to = rnd(ARENA_PAGES), n, how = rnd(3), page;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (how == 2 ? MREMAP_DONTUNMAP : 0), prot;
	long ret;

	if (mapped[from] == NONE)
		return true;
	n = run_at(from, rnd_count(ARENA_PAGES - from));
	if (n > ARENA_PAGES - to)
		n = ARENA_PAGES - to;
	if (from < to + n && to < from + n)
		return true;
	page = mapped[from];
	prot = prots[from];
	ret = host_mremap(arena + from * PAGE, how == 1 ? 0 : n * PAGE, n * PAGE, flags, arena + to * PAGE);
	if (ret == -EFAULT)
		return reserve(to, n); /* as in the kernel, the target is unmapped already */
	if ((char *)ret != arena + to * PAGE)
		return false;
	model_map(to, n, page, prot);
	return how == 0 ? reserve(from, n) : true;
}

static bool op_drop(void)
{
	u32 at = rnd(ARENA_PAGES), count = rnd_count(ARENA_PAGES - at);

	return host_madvise_drop(arena + at * PAGE, count * PAGE, MADV_DONTNEED) == 0;
}

/* madvise that splits VMAs. */
static bool op_advise(void)
{
	static const int advices[] = { MADV_RANDOM, MADV_NORMAL, MADV_DONTDUMP, MADV_DODUMP, MADV_COLD };
	u32 at = rnd(ARENA_PAGES), count = rnd_count(ARENA_PAGES - at);

	return host_madvise_pass(arena + at * PAGE, count * PAGE, advices[rnd(5)]) == 0;
}

static bool op_populate(void)
{
	u32 at = rnd(ARENA_PAGES), count = rnd_count(ARENA_PAGES - at), n;
	long ret, want = 0;

	if (mapped[at] == NONE || prots[at] != (PROT_READ | PROT_WRITE))
		return true;
	n = run_at(at, count);
	for (u32 i = at; i < at + n; i++)
		if (mapped[i] >= FILE_PAGES || private_[mapped[i]])
			want = -EFAULT;
	ret = host_madvise_populate(arena + at * PAGE, n * PAGE, MADV_POPULATE_WRITE);
	/* Engine "remap" maps on demand within limits: a long range may exceed them. */
	return ret == want || (ret == -EFAULT && host_engine->serves);
}

static bool op_punch(void)
{
	u32 first = rnd(FILE_PAGES), count = rnd_count(FILE_PAGES - first);

	if (host_file_punch(&file, (struct rt_pages){ first, count }))
		return false;
	memset(bytes + first, 0, count);
	return true;
}

static bool op_store(void)
{
	u32 at = rnd(ARENA_PAGES);
	unsigned char byte = (unsigned char)rnd(256);
	bool can = mapped[at] < FILE_PAGES && !private_[mapped[at]] && prots[at] == (PROT_READ | PROT_WRITE);

	if ((store(arena + at * PAGE, byte) == 0) != can)
		return false;
	if (can)
		bytes[mapped[at]] = byte;
	return true;
}

static bool check_page(u32 at)
{
	u32 page = mapped[at];
	int want = page == NONE || prots[at] == PROT_NONE		     ? SIGSEGV
		   : page >= FILE_PAGES || private_[page] ? SIGBUS
						      : 0;
	int got = load(arena + at * PAGE);

	/* A page beyond the end in a PROT_NONE view and the like: the kernel says SIGSEGV first. */
	if (got != want)
		printf("# arena page %u, file page %u, prot %d: signal %d, expected %d\n", at, page, prots[at], got, want);
	return got == want && (want || (unsigned char)arena[at * PAGE] == bytes[page]);
}

static void script(const char *engine, unsigned ops)
{
	static const struct {
		const char *name;
		bool (*run)(void);
		unsigned weight;
	} kinds[] = { { "convert", op_convert, 10 }, { "map", op_map, 4 },   { "unmap", op_unmap, 2 },
		      { "mprotect", op_mprotect, 2 }, { "mremap", op_mremap, 3 }, { "drop", op_drop, 2 },
		      { "advise", op_advise, 2 },   { "populate", op_populate, 2 }, { "punch", op_punch, 1 },
		      { "store", op_store, 10 } };
	unsigned done = 0;
	u64 most = 0, live = rt_alloc_live();
	bool good = true;

	file_new(&file, FILE_PAGES * PAGE, true);
	memset(bytes, 0, sizeof(bytes));
	memset(private_, 1, sizeof(private_));
	arena = mmap(NULL, ARENA_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (u32 i = 0; i < ARENA_PAGES; i++)
		mapped[i] = NONE;
	for (; done < ops && good; done++) {
		u32 pick = rnd(38), k = 0;

		while (pick >= kinds[k].weight)
			pick -= kinds[k++].weight;
		good = kinds[k].run();
		for (int i = 0; i < 40 && good; i++)
			good = check_page(rnd(ARENA_PAGES));
		if (good && done % 8 == 0)
			good = audit(&file) == 0;
		if (!good)
			diag("%s: operation %u, %s", engine, done, kinds[k].name);
		most = rt_max(most, host_table.vmas);
	}
	ok(good, "%s: %u operations agree with the model", engine, ops);
	is(audit(&file), 0, "%s: audit at the end (at most %d VMAs)", engine, (int)most);
	host_munmap(arena, ARENA_PAGES * PAGE);
	is(host_table.count, 0, "%s: no view is left", engine);
	is(host_table.vmas, 0, "%s: no VMA is counted", engine);
	host_file_fini(&file);
	is(rt_alloc_live(), live, "%s: no memory is left", engine);
}

static void all(const char *engine)
{
	const char *text = getenv("GMEM_TEST_OPS");
	unsigned ops = text ? (unsigned)atoi(text) : 1500;
	int fds = (deny_fd(), open("/dev/null", O_RDONLY));

	close(fds);
	seed = 1;
	script(engine, ops);
	host_tuning.budget = 8;
	script(engine, ops);
	host_tuning.budget = 0;
	if (rt_streq(engine, "dp")) {
		host_tuning.portable_flip = true;
		script("dp, portable flip", ops);
		host_tuning.portable_flip = false;
	}
	is(open("/dev/null", O_RDONLY), fds, "%s: no descriptor is left", engine);
	close(fds);
}

int main(void)
{
	handlers_install();
	FOR_EACH_ENGINE(all);
	return done_testing();
}
