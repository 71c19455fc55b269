// SPDX-License-Identifier: MIT
/*
 * tests/run_processes.c - conversions by any process hold in every one before they return (INV-1)
 *
 * Processes convert and touch the pages of one file at random.  A word per page,
 * in ordinary shared memory, says what the page is: an epoch whose low bit
 * means private, with BUSY set while its converter is at work.  A touch counts when the word was
 * the same, and not busy, before and after it: then a private page must have
 * refused and a shared one must not.
 */
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#include "run_inplace.h"

#define PAGES	  64
#define PROCESSES 4
/* Seconds since some time. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define BUSY	  0x80000000U

struct board {
	_Atomic unsigned page[PAGES];
	_Atomic long conversions, touches, leaks, spurious, again, errors;
};

static struct board *board;
static char *ptr;
static int fd;

static void convert_run(unsigned first, unsigned count, int to_private)
{
	unsigned held[PAGES], n;
	uint64_t error = 0;
	int ret;

	/* Own the words of the run, or as many as can be had. */
	for (n = 0; n < count; n++) {
		held[n] = board->page[first + n] & ~BUSY;
		if (!atomic_compare_exchange_strong(&board->page[first + n], &held[n], held[n] | BUSY))
			break;
	}
	if (!n)
		return;
	ret = set_attr2(fd, first * PG, n * PG, to_private ? PRIVATE : SHARED, &error);
	if (ret && errno == EAGAIN)
		board->again++;
	else if (ret)
		board->errors++;
	else
		board->conversions++;
	for (unsigned i = 0; i < n; i++) {
		unsigned next = (held[i] + 2) & ~BUSY & ~1U;

		/* A refused request changed nothing. */
		board->page[first + i] = ret ? held[i] : next | (unsigned)to_private;
	}
}

static void touch_page(unsigned page, int store)
{
	unsigned before = board->page[page];
	struct touch t;

	if (before & BUSY)
		return;
	t = touch(ptr + page * PG, store ? 0x5a : -1);
	if (board->page[page] != before)
		return;
	board->touches++;
	if ((before & 1) && !t.sig)
		board->leaks++;
	if (!(before & 1) && t.sig)
		board->spurious++;
}

static void work(unsigned seed, double seconds)
{
	double end = now() + seconds;

	while (now() < end) {
		for (int i = 0; i < 200; i++) {
			seed = seed * 1664525 + 1013904223;
			unsigned page = seed >> 8 & (PAGES - 1), kind = seed >> 20 & 15;

			if (kind < 4)
				convert_run(page, 1 + (seed >> 28) % (PAGES - page < 8 ? PAGES - page : 8), kind & 1);
			else
				touch_page(page, kind & 1);
		}
	}
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 2;
	int kvm, vm = inplace_vm(&kvm), status, bad = 0;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fd = gmem_new(vm, PAGES * PG, SHAREABLE);
	ptr = map_shared(fd, PAGES * PG, 0);
	memset(ptr, 1, PAGES * PG);
	for (unsigned i = 1; i < PROCESSES; i++) {
		if (fork() == 0) {
			work(i * 7919, seconds);
			_exit(0);
		}
	}
	work(1, seconds);
	while (wait(&status) > 0)
		bad |= status;
	is(bad, 0, "all processes end well");
	ok(board->conversions > 100 && board->touches > 1000, "%ld conversions, %ld touches count, %ld told to try again",
	   (long)board->conversions, (long)board->touches, (long)board->again);
	is(board->leaks, 0, "no private page was readable or writable");
	is(board->spurious, 0, "no shared page was refused");
	is(board->errors, 0, "no conversion failed otherwise");
	ok(board->again * 50 <= board->conversions, "trying again is rare");
	return done_testing();
}
