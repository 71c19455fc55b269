/* SPDX-License-Identifier: MIT */
/*
 * tests/fuzz_ioctl_views.h - the part of tests/fuzz_ioctl.c that maps files and touches what it mapped
 */
#ifndef GMEM_TESTS_FUZZ_IOCTL_VIEWS_H
#define GMEM_TESTS_FUZZ_IOCTL_VIEWS_H

#define NR_VIEWS 8

struct model_view {
	char *at; /* NULL: none */
	int file;
	u64 first, pages;
	bool writable;
};

static struct model_view views[NR_VIEWS];

/* The object of a file, with a reference. */
static struct dev_gmem *gmem_of(int f)
{
	struct dev_object *obj = device_object(files[f].fd);

	if (!obj)
		complain("a file was lost", f, 0);
	return (struct dev_gmem *)obj;
}

static void drop_view(struct model_view *v, u64 first, u64 pages)
{
	long ret = host_munmap(v->at + first * PG, pages * PG);

	compare("munmap", ret, 0);
	/* Of one cut in the middle the end goes, too. */
	if (first && first + pages < v->pages)
		compare("munmap of the end", host_munmap(v->at + (first + pages) * PG, (v->pages - first - pages) * PG), 0);
	if (first) {
		v->pages = first;
		return;
	}
	v->at += pages * PG;
	v->first += pages;
	v->pages -= pages;
	if (!v->pages)
		v->at = NULL;
}

static void do_unmap(void)
{
	struct model_view *v = &views[below(NR_VIEWS)];
	u64 first;

	if (!v->at)
		return;
	first = one_in(2) ? 0 : below(v->pages);
	drop_view(v, first, one_in(3) ? v->pages - first : 1 + below(v->pages - first));
}

static void do_map(void)
{
	struct model_view *v = &views[below(NR_VIEWS)];
	const int f = pick_file(), prot = one_in(4) ? PROT_READ : PROT_READ | PROT_WRITE;
	struct core_err err = { .rule = RULE_NONE };
	struct dev_gmem *g;
	u64 first, pages;
	long ret;

	if (v->at || f < 0 || !(g = gmem_of(f)))
		return;
	/* Some reach beyond the end. */
	first = below(files[f].size / PG);
	pages = 1 + below(MAX_PAGES + 4 - first);
	ret = dev_gmem_mmap(g, NULL, pages * PG, prot, MAP_SHARED, (s64)(first * PG), &err);
	dev_put(&g->obj);
	if (!compare("mmap", ret < 0 && ret > -4096 ? ret : 0, files[f].flags & GUEST_MEMFD_FLAG_MMAP ? 0 : -ENODEV) || ret < 0)
		return;
	*v = (struct model_view){ .at = (char *)ret, .file = f, .first = first, .pages = pages, .writable = prot & PROT_WRITE };
}

static sigjmp_buf touch_jmp;
static volatile bool touching;

/* The byte at, or -1 when it is refused; store: any but -1 is stored first. */
static __attribute__((noinline)) int touch(volatile u8 *at, int value)
{
	int byte;

	if (sigsetjmp(touch_jmp, 1)) {
		touching = false;
		return -1;
	}
	touching = true;
	if (value >= 0)
		*at = (u8)value;
	byte = *at;
	touching = false;
	return byte;
}

static void do_touch(void)
{
	const struct model_view *v = &views[below(NR_VIEWS)];
	struct model_file *f = &files[v->file];
	u64 page, index;
	int value;

	if (!v->at)
		return;
	index = below(v->pages);
	page = v->first + index;
	value = v->writable && one_in(2) ? (int)below(256) : -1;
	if (page >= f->size / PG || f->private[page]) {
		compare("a touch that is to be refused", touch((u8 *)v->at + index * PG, value), -1);
		return;
	}
	if (value >= 0)
		f->bytes[page] = (u8)value;
	compare("a touch", touch((u8 *)v->at + index * PG, value), f->bytes[page]);
}

static void do_punch(void)
{
	const int f = pick_file();
	const u64 off = pages_value(MAX_PAGES), len = pages_value(16);
	struct core_err err = { .rule = RULE_NONE };
	struct dev_gmem *g;
	long want = 0;

	if (f < 0 || !(g = gmem_of(f)))
		return;
	if ((s64)off < 0 || (s64)len <= 0)
		want = -EINVAL;
	else if ((s64)(off + len) < 0)
		want = -EFBIG;
	else if (off % PG || len % PG)
		want = -EINVAL;
	compare("a hole", dev_gmem_fallocate(g, 3, (s64)off, (s64)len, &err), want);
	dev_put(&g->obj);
	for (u64 page = off / PG; !want && page < (off + len) / PG && page < MAX_PAGES; page++)
		files[f].bytes[page] = 0;
}

static void audit_views(void)
{
	for (int f = 0; f < NR_FILES; f++) {
		struct dev_gmem *g = files[f].fd < 0 ? NULL : gmem_of(f);
		u64 bad = 0;

		if (!g)
			continue;
		if (host_audit(&g->host, &bad))
			complain("the audit of a file's views", (long)bad, -1);
		dev_put(&g->obj);
	}
}

#endif
