// SPDX-License-Identifier: MIT
/*
 * tests/unit_host_race.c - conversions against threads that touch (INV-1)
 *
 * Each page has an epoch word: bit 0 private, bit 31 in transition, the rest
 * counts.  A touch counts only when the word was the same before and after.
 * A leak is a touch that went through on a private page, a spurious fault
 * one that was refused on a shared one.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit_host.h"

#define PAGES      2048u
#define TRANSITION (1u << 31)

enum kind { LOAD, STORE, READ, VM_READV, KINDS };
static const char *const kind_names[] = { "load", "store", "read(2)", "process_vm_readv" };

static _Atomic u32 epoch[PAGES];
static _Atomic bool stop;
static _Atomic long leaks, spurious, touches;
static char *view;
static int zero_fd;

static u32 rnd(u32 *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* read(2) into the page, repeated as the wrapper of a program's call would.  Not libc's: two threads
 * read into one page on purpose, which is no race of ours. */
static bool read_into(char *p)
{
	for (int tries = 0; tries < 4; tries++) {
		if (rt_syscall_raw(__NR_read, zero_fd, (long)p, 8, 0, 0, 0) == 8)
			return true;
		if (!host_fault_fixup(p, 8))
			return false;
	}
	return false;
}

static bool touch(enum kind kind, char *p)
{
	if (kind == LOAD)
		return load(p) == 0;
	if (kind == STORE)
		return store(p, 1) == 0;
	return kind == READ ? read_into(p) : peek(p, 1) == 1;
}

static void *toucher(void *arg)
{
	enum kind kind = (enum kind)(intptr_t)arg;
	u32 seed = (u32)kind * 77 + 5;

	while (!stop) {
		/* Half of the time where the converter is likely to be. */
		u32 page = rnd(&seed) & 1 ? rnd(&seed) % PAGES : rnd(&seed) % 16;
		u32 before = epoch[page], after;
		bool went = touch(kind, view + page * PAGE);

		after = epoch[page];
		touches++;
		if (before != after || (before & TRANSITION))
			continue;
		if (went && (before & 1))
			leaks++;
		if (!went && !(before & 1))
			spurious++;
	}
	return NULL;
}

static void set_epoch(u32 first, u32 count, u32 clear, u32 set)
{
	for (u32 i = first; i < first + count; i++)
		epoch[i] = ((epoch[i] + 2) & ~clear & ~TRANSITION) | set;
}

static void run(const char *engine, enum kind kind, double seconds)
{
	struct host_file file;
	pthread_t threads[2];
	double end = now_us() + seconds * 1e6;
	u32 seed = 1;
	long conversions = 0, failed = 0;

	file_new(&file, PAGES * PAGE, false);
	view = map(&file, PAGES * PAGE, 0);
	for (u32 i = 0; i < PAGES; i++)
		epoch[i] = 0;
	leaks = spurious = touches = 0;
	stop = false;
	for (int i = 0; i < 2; i++)
		pthread_create(threads + i, NULL, toucher, (void *)(intptr_t)kind);
	for (; now_us() < end; conversions++) {
		u32 what = rnd(&seed) % 8, first, count;
		bool to_private = rnd(&seed) & 1;

		first = what < 4 ? rnd(&seed) % 16 : rnd(&seed) % PAGES;
		count = what < 4 ? 1 : what < 6 ? 1 + rnd(&seed) % 64 : 1 + rnd(&seed) % 1536;
		if (what == 7)
			first &= ~511u;
		count = count > PAGES - first ? PAGES - first : count;
		set_epoch(first, count, 0, TRANSITION);
		if (convert(&file, first, count, to_private))
			failed++;
		set_epoch(first, count, 1, to_private);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	diag("%s, %s: %ld conversions, %ld touches", engine, kind_names[kind], conversions, touches);
	is(failed, 0, "%s, %s: no conversion failed", engine, kind_names[kind]);
	is(leaks, 0, "%s, %s: no leak", engine, kind_names[kind]);
	is(spurious, 0, "%s, %s: no spurious fault", engine, kind_names[kind]);
	is(audit(&file), 0, "%s, %s: audit", engine, kind_names[kind]);
	host_munmap(view, PAGES * PAGE);
	host_file_fini(&file);
}

static void all(const char *engine)
{
	const char *text = getenv("GMEM_TEST_SECONDS");
	double seconds = text ? atof(text) : 0.4;

	for (int kind = 0; kind < KINDS; kind++) {
#ifdef __SANITIZE_THREAD__
		/* A handler that jumps out confuses the sanitizer's own accounting. */
		if (kind == LOAD || kind == STORE)
			continue;
#endif
		run(engine, (enum kind)kind, seconds);
	}
	host_tuning.budget = 6;
	run(engine, READ, seconds);
#ifndef __SANITIZE_THREAD__
	run(engine, LOAD, seconds);
#endif
	host_tuning.budget = 0;
	if (rt_streq(engine, "dp")) {
		host_tuning.portable_flip = true;
		run("dp, portable flip", READ, seconds);
#ifndef __SANITIZE_THREAD__
		run("dp, portable flip", LOAD, seconds);
#endif
		host_tuning.portable_flip = false;
	}
}

int main(void)
{
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	handlers_install();
	FOR_EACH_ENGINE(all);
	return done_testing();
}
