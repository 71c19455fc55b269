// SPDX-License-Identifier: MIT
/*
 * tests/unit_host_calls.c - the program's calls on views: mprotect, mremap, mlock, madvise, fork
 */
#include <sys/stat.h>

#include "tests/unit_host.h"

#include "host/peer.h"
#include "uapi/mm.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define PAGES 1024u

static struct host_file file;

/* Pages 0 to 99 are private, the rest is shared. */
static char *fresh(void)
{
	file_new(&file, PAGES * PAGE, false);
	convert(&file, 0, 100, true);
	return map(&file, PAGES * PAGE, 0);
}

static void done(const char *engine, char *p, u64 pages)
{
	is(audit(&file), 0, "%s: audit", engine);
	host_munmap(p, pages * PAGE);
	is(file.views, 0, "%s: no view is left", engine);
	host_file_fini(&file);
}

static void protections(const char *engine)
{
	char *p = fresh();

	is(host_mprotect(p, PAGES * PAGE, PROT_READ | PROT_EXEC, -1), -EACCES, "%s: never executable", engine);
	is(host_mprotect(p + 1, PAGE, PROT_READ, -1), -EINVAL, "%s: unaligned", engine);
	is(host_mprotect(p, 0, PROT_READ, -1), 0, "%s: nothing", engine);
	is(host_mprotect(p + 90 * PAGE, 20 * PAGE, PROT_READ, -1), 0, "%s: read-only across the seam", engine);
	is(load(p + 95 * PAGE), SIGBUS, "%s: private stays private", engine);
	is(load(p + 105 * PAGE), 0, "%s: shared can be read", engine);
	is(store(p + 105 * PAGE, 1), SIGSEGV, "%s: but not written", engine);
	is(host_mprotect(p + 90 * PAGE, 20 * PAGE, PROT_READ | PROT_WRITE, -1), 0, "%s: and back", engine);
	is(load(p + 95 * PAGE), SIGBUS, "%s: which opens nothing", engine);
	is(convert(&file, 50, 500, false), 0, "%s: convert across the pieces", engine);
	is(store(p + 95 * PAGE, 1), 0, "%s: shared", engine);
	is(convert(&file, 60, 400, true), 0, "%s: convert across the pieces", engine);
	is(load(p + 95 * PAGE), SIGBUS, "%s: private", engine);
	done(engine, p, PAGES);
}

/* A place that nothing maps by itself and that is no shadow of a sanitizer. */
#define HOLE 0x567000000000UL

/* MREMAP_DONTUNMAP leaves the page unlocked, and without its guard. */
static void locked_left_behind(const char *engine, char *p, char *to)
{
	u8 resident = 0;

	if (host_mlock(p, PAGE, 0, true)) {
		skip(1, "%s: memory cannot be locked", engine);
	} else {
		host_madvise_drop(p + PAGE, PAGE, MADV_REMOVE);
		is(host_mremap(p, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), (long)to, "%s: locked, mapped again", engine);
		is(host_mincore(to + PAGE, PAGE, &resident), 0, "%s: with the page behind it", engine);
		is(resident & 1, 1, "%s: which is populated", engine);
		is(host_mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to), (long)to, "%s: locked", engine);
		is(host_madvise_drop(p, PAGE, MADV_DONTNEED), 0, "%s: what is left is not", engine);
	}
	if (host_madvise_guard(p, PAGE, 102)) {
		skip(1, "%s: no guard pages", engine);
		return;
	}
	is(load(p), SIGSEGV, "%s: a guard", engine);
	is(host_mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to), (long)to, "%s: moved", engine);
	is(load(p), 0, "%s: none is left", engine);
	is(load(to), SIGSEGV, "%s: it is there", engine);
}

static void remaps(const char *engine)
{
	char *p = fresh(), *q, *r;

	p[200 * PAGE] = 7;
	is(host_mremap(p, PAGES * PAGE, 600 * PAGE, 0, NULL), (long)p, "%s: shrink", engine);
	q = (char *)host_mremap(p, 600 * PAGE, 2000 * PAGE, MREMAP_MAYMOVE, NULL);
	ok(!rt_is_err((long)q), "%s: grow", engine);
	is(q[200 * PAGE], 7, "%s: contents", engine);
	is(load(q + 50 * PAGE), SIGBUS, "%s: private", engine);
	is(load(q + 1024 * PAGE), SIGBUS, "%s: beyond the end", engine);
	r = (char *)host_mremap(q, 0, 300 * PAGE, MREMAP_MAYMOVE, NULL);
	ok(!rt_is_err((long)r) && r != q, "%s: duplicate", engine);
	is(r[200 * PAGE], 7, "%s: contents", engine);
	is(load(r + 50 * PAGE), SIGBUS, "%s: private", engine);
	host_munmap(r, 300 * PAGE);
	r = (char *)host_mremap(q, 2000 * PAGE, 2000 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	ok(!rt_is_err((long)r) && r != q, "%s: DONTUNMAP", engine);
	is(load(q + 50 * PAGE), SIGBUS, "%s: the old place is private", engine);
	is(load(r + 50 * PAGE), SIGBUS, "%s: the new one too", engine);
	is(q[200 * PAGE] + r[200 * PAGE], 14, "%s: contents in both", engine);
	/* Nothing to move: the place stays. */
	is(host_mremap((void *)HOLE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 200 * PAGE), -EFAULT, "%s: from a hole", engine);
	is(q[200 * PAGE], 7, "%s: what lay at the place is there", engine);
	is(host_mremap(q + 200 * PAGE, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 200 * PAGE), -EFAULT, "%s: onto itself", engine);
	is(load(q + 200 * PAGE), SIGSEGV, "%s: which takes it away", engine);
	locked_left_behind(engine, r + 200 * PAGE, q + 200 * PAGE);
	host_munmap(q, 2000 * PAGE);
	is(host_mremap(r, 3000 * PAGE, 4000 * PAGE, MREMAP_MAYMOVE, NULL), -EFAULT, "%s: more than there is", engine);
	is(host_mremap(r, PAGE, 0, MREMAP_MAYMOVE, NULL), -EINVAL, "%s: to nothing", engine);
	is(host_mremap(r, PAGE, PAGE, MREMAP_FIXED, r), -EINVAL, "%s: FIXED without MAYMOVE", engine);
	done(engine, r, 2000);
}

static void locks(const char *engine)
{
	char *p = fresh();

	is(host_mlock(p + 100 * PAGE, 20 * PAGE, 0, true), 0, "%s: mlock shared pages", engine);
	is(host_madvise_drop(p + 100 * PAGE, PAGE, MADV_DONTNEED), -EINVAL, "%s: DONTNEED of them", engine);
	is(host_madvise_drop(p + 100 * PAGE, PAGE, MADV_DONTNEED_LOCKED), 0, "%s: DONTNEED_LOCKED", engine);
	is(host_mlock(p + 90 * PAGE, 20 * PAGE, 0, true), -ENOMEM, "%s: mlock across private pages", engine);
	is(host_madvise_drop(p + 92 * PAGE, PAGE, MADV_DONTNEED), -EINVAL, "%s: which are locked all the same", engine);
	is(convert(&file, 95, 20, true), 0, "%s: locked pages to private", engine);
	is(load(p + 110 * PAGE), SIGBUS, "%s: refused", engine);
	is(convert(&file, 95, 20, false), 0, "%s: and back", engine);
	is(load(p + 110 * PAGE), 0, "%s: accessible", engine);
	is(host_mlock(p, PAGES * PAGE, 0, false), 0, "%s: munlock", engine);
	is(host_madvise_drop(p + 100 * PAGE, PAGE, MADV_DONTNEED), 0, "%s: DONTNEED again", engine);
	done(engine, p, PAGES);
}

static void advices(const char *engine)
{
	char *p = fresh();

	p[100 * PAGE] = 5;
	is(host_madvise_drop(p, PAGES * PAGE, MADV_DONTNEED), 0, "%s: DONTNEED of everything", engine);
	is(load(p + 99 * PAGE), SIGBUS, "%s: opens nothing", engine);
	is(p[100 * PAGE], 5, "%s: loses nothing", engine);
	is(host_madvise_populate(p + 100 * PAGE, 100 * PAGE, MADV_POPULATE_WRITE), 0, "%s: populate shared", engine);
	is(host_madvise_populate(p + 99 * PAGE, 2 * PAGE, MADV_POPULATE_READ), -EFAULT, "%s: populate private", engine);
	is(host_madvise_pass(p, PAGES * PAGE, MADV_HUGEPAGE), 0, "%s: HUGEPAGE", engine);
	is(host_madvise_pass(p + 30 * PAGE, 100 * PAGE, MADV_RANDOM), 0, "%s: RANDOM in the middle", engine);
	is(convert(&file, 20, 200, true), 0, "%s: convert across", engine);
	is(host_file_punch(&file, (struct rt_pages){ 0, PAGES }), 0, "%s: punch", engine);
	is(load(p + 99 * PAGE), SIGBUS, "%s: opens nothing", engine);
	is(convert(&file, 0, PAGES, false), 0, "%s: to shared", engine);
	is(p[100 * PAGE], 0, "%s: contents are gone", engine);
	done(engine, p, PAGES);
}

static u64 backing_pages(void)
{
	struct stat st;

	fstat(file.backing, &st);
	return (u64)st.st_blocks * 512 / PAGE;
}

/* A punch that is spared because nothing is there must not be one that has something to do. */
static void punches(const char *engine)
{
	char *p = fresh();
	u64 before = backing_pages();

	is(host_file_punch(&file, (struct rt_pages){ 100, 2 }), 0, "%s: punch a hole", engine);
	is(backing_pages(), before, "%s: frees nothing", engine);
	p[101 * PAGE] = 3;
	is(host_file_punch(&file, (struct rt_pages){ 100, 1 }), 0, "%s: punch beside a page", engine);
	is(p[101 * PAGE], 3, "%s: which stays", engine);
	is(host_file_punch(&file, (struct rt_pages){ 100, 2 }), 0, "%s: punch a page behind a hole", engine);
	is(backing_pages(), before, "%s: frees it", engine);
	is(p[101 * PAGE], 0, "%s: and its contents", engine);
	is(host_file_punch(&file, (struct rt_pages){ 101, 1 }), 0, "%s: punch what was read only", engine);
	is(backing_pages(), before, "%s: frees it", engine);
	is(host_file_allocate(&file, (struct rt_pages){ 100, 8 }), 0, "%s: allocate", engine);
	is(backing_pages(), before + 8, "%s: takes memory", engine);
	is(host_file_punch(&file, (struct rt_pages){ 100, 8 }), 0, "%s: punch what was never touched", engine);
	is(backing_pages(), before, "%s: frees it", engine);
	done(engine, p, PAGES);
}

static void own_guards(const char *engine)
{
	char *p = fresh(), *q;

	if (!host_caps()->guard) {
		is(host_madvise_guard(p, PAGE, MADV_GUARD_INSTALL), -EINVAL, "%s: no guards here", engine);
		done(engine, p, PAGES);
		return;
	}
	is(host_madvise_guard(p + 98 * PAGE, 4 * PAGE, MADV_GUARD_INSTALL), 0, "%s: guards", engine);
	is(load(p + 101 * PAGE), SIGSEGV, "%s: on a shared page", engine);
	is(load(p + 98 * PAGE), SIGSEGV, "%s: on a private page", engine);
	is(load(p + 97 * PAGE), SIGBUS, "%s: not beside it", engine);
	is(convert(&file, 98, 1, false), 0, "%s: the private one to shared", engine);
	is(load(p + 98 * PAGE), SIGSEGV, "%s: still a guard", engine);
	is(convert(&file, 101, 1, true), 0, "%s: the shared one to private", engine);
	is(load(p + 101 * PAGE), SIGSEGV, "%s: still a guard", engine);
	is(host_madvise_guard(p + 98 * PAGE, 4 * PAGE, MADV_GUARD_REMOVE), 0, "%s: remove", engine);
	is(load(p + 98 * PAGE), 0, "%s: shared and open", engine);
	is(load(p + 99 * PAGE), SIGBUS, "%s: private stays so", engine);
	is(load(p + 101 * PAGE), SIGBUS, "%s: private stays so", engine);
	is(load(p + 100 * PAGE), 0, "%s: shared and open", engine);
	/* All that a view has of a region becomes private, which closes it: the marker must not outlive its guard. */
	q = map(&file, PAGE, 300 * PAGE);
	is(host_madvise_guard(q, PAGE, MADV_GUARD_INSTALL), 0, "%s: a guard on a view's only page", engine);
	is(convert(&file, 299, 2, true), 0, "%s: to private", engine);
	is(host_madvise_guard(q, PAGE, MADV_GUARD_REMOVE), 0, "%s: no guard any more", engine);
	is(load(q), SIGBUS, "%s: private", engine);
	is(convert(&file, 299, 2, false), 0, "%s: to shared", engine);
	is(load(q), 0, "%s: and open", engine);
	host_munmap(q, PAGE);
	done(engine, p, PAGES);
}

#ifndef __SANITIZE_THREAD__
static int child_checks(char *p, char *hidden)
{
	struct host_piece piece;

	if (host_fork_child())
		return 1;
	if (load(p + 50 * PAGE) != SIGBUS || peek(p + 50 * PAGE, 1) != -EFAULT)
		return 2;
	if (load(p + 200 * PAGE) || p[200 * PAGE] != 9)
		return 3;
	if (store(p + 300 * PAGE, 4))
		return 4;
	if (host_view_next(hidden, hidden + PAGE, &piece))
		return 5;
	if (peek(hidden, 1) != -EFAULT)
		return 9;
	if (convert(&file, 200, 1, true) || load(p + 200 * PAGE) != SIGBUS)
		return 6;
	if (convert(&file, 200, 1, false) || audit(&file))
		return 7;
	/* In both directions before it returns: the parent looks. */
	return convert(&file, 400, 50, true) || convert(&file, 10, 30, false) ? 8 : 0;
}

static void forks(const char *engine)
{
	char *p = fresh(), *hidden = map(&file, PAGE, 500 * PAGE);
	int status = 0;
	pid_t pid;

	p[200 * PAGE] = 9;
	/* Far from where new mappings go: none of the child's may fall into the hole. */
	hidden = (char *)host_mremap(hidden, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)HOLE);
	is(host_madvise_pass(hidden, PAGE, MADV_DONTFORK), 0, "%s: DONTFORK", engine);
	host_peer_share(&file);
	host_fork_prepare();
	pid = fork();
	if (pid == 0)
		_exit(child_checks(p, hidden));
	host_fork_parent();
	waitpid(pid, &status, 0);
	is(status, 0, "%s: a child sees the same states", engine);
	is(load(p + 425 * PAGE), SIGBUS, "%s: what it made private is refused here", engine);
	is(load(p + 20 * PAGE), 0, "%s: what it made shared is not", engine);
	is(p[300 * PAGE], 4, "%s: and the same contents", engine);
	is(load(p + 50 * PAGE), SIGBUS, "%s: the parent is still refused", engine);
	is(load(hidden), 0, "%s: and keeps what the child did not get", engine);
	host_munmap(hidden, PAGE);
	done(engine, p, PAGES);
}

#endif

static void over(const char *engine)
{
	char *p = fresh();

	is(host_mmap_over(p + 40 * PAGE, 10 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
	   (long)(p + 40 * PAGE), "%s: anonymous memory in the middle", engine);
	is(load(p + 45 * PAGE), 0, "%s: is the program's own", engine);
	ok(!host_view_overlaps(p + 40 * PAGE, 10 * PAGE), "%s: no view overlaps it", engine);
	ok(host_view_overlaps(p + 39 * PAGE, 2 * PAGE), "%s: one lies before", engine);
	is(convert(&file, 0, PAGES, false), 0, "%s: convert around it", engine);
	is(convert(&file, 0, PAGES, true), 0, "%s: and back", engine);
	is(load(p + 45 * PAGE), 0, "%s: it was not touched", engine);
	is(host_view_map(&file, p + 40 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, 0), -EEXIST,
	   "%s: FIXED_NOREPLACE", engine);
	done(engine, p, PAGES);
}

static void all(const char *engine)
{
	protections(engine);
	remaps(engine);
	locks(engine);
	advices(engine);
	punches(engine);
	own_guards(engine);
#ifdef __SANITIZE_THREAD__
	/* The sanitizer maps memory of its own into the child's holes before we come to it. */
	skip(1, "%s: fork under ThreadSanitizer", engine);
#else
	forks(engine);
#endif
	over(engine);
}

int main(void)
{
	handlers_install();
	FOR_EACH_ENGINE(all);
	return done_testing();
}
