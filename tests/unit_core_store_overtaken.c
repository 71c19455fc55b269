// SPDX-License-Identifier: MIT
/*
 * tests/unit_core_store_overtaken.c - a reader of the tail whose list is written anew under it (store_window.h, S6)
 *
 * A page of the current list is taken away; the fault of the reader that comes
 * to it gives it back and lets a writer run, in the middle of the search.  And the other way round.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "core/store_window.h"
#include "tests/tap.h"

#define BASE	  CORE_STORE_DENSE_PAGES
#define PAGES	  (BASE + (1ULL << 20))
#define FLIPS	  1000U
#define HOST_PAGE 4096UL

static struct core_store store;
static char *taken;
static unsigned faults;
static void (*on_fault)(void);

static void fault(int signo, siginfo_t *info, void *context)
{
	if ((char *)info->si_addr < taken || (char *)info->si_addr >= taken + HOST_PAGE || faults++)
		_Exit(1);
	if (mprotect(taken, HOST_PAGE, PROT_READ | PROT_WRITE))
		_Exit(1);
	on_fault();
}

/* The host page in which a list has flips[at]. */
static void take_away(struct tail_list *list, unsigned at, void (*then)(void))
{
	taken = (char *)((unsigned long)&list->flips[at] & ~(HOST_PAGE - 1));
	faults = 0;
	on_fault = then;
	if (mprotect(taken, HOST_PAGE, PROT_NONE))
		abort();
}

static void set(u64 first, u64 count, bool is_private)
{
	struct rt_pages range = { first, count };

	if (core_store_reserve(&store, range, is_private))
		abort();
	core_store_set(&store, range, is_private);
}

/* Flips 0 to 399 go, then the list that the reader holds is written: what was flip 600 is flip 200. */
static void write_twice(void)
{
	set(BASE, 2 * 400, false);
	set(PAGES - 1, 1, true);
}

/* Once: the reader's list is still as it was, though not the current one. */
static void write_once(void)
{
	set(BASE, 2 * 400, false);
}

static u64 run_of_reader, state_of_reader;

static void read_it(void)
{
	bool is_private;

	run_of_reader = core_store_run(&store, BASE + 1500, 100, &is_private);
	state_of_reader = is_private;
}

static void begin(void)
{
	size_t size = core_store_window_size(PAGES);
	void *window = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (window == MAP_FAILED)
		skip_all("no address space for a window of %zu bytes", size);
	core_store_init(&store, window, PAGES, false);
	/* Flip i at BASE + 2 * i + 1: private from the even ones on. */
	for (u64 i = 0; i < FLIPS; i += 2)
		set(BASE + 2 * i + 1, 2, true);
}

static struct tail_list *current_list(unsigned ahead)
{
	return tail_at(&store, header_of(&store)->tail_generation + ahead);
}

static void test_reader(void (*writer)(void), unsigned writes, const char *what)
{
	u32 generation;

	begin();
	is(current_list(0)->nr, FLIPS, "the list is long enough to be searched in several host pages");
	generation = header_of(&store)->tail_generation;
	/* BASE + 1202 is private from flip 600 (at 1201) to flip 601 (at 1203). */
	take_away(current_list(0), 3 * FLIPS / 4, writer);
	ok(core_store_is_private(&store, BASE + 1202), "%s: a page that was not written has the state it has", what);
	is(faults, 1, "the reader was interrupted");
	is(header_of(&store)->tail_generation - generation, writes, "by writers that published");
	munmap(store.window, core_store_window_size(PAGES));
	begin();
	take_away(current_list(0), 3 * FLIPS / 4, writer);
	{
		bool is_private;

		is(core_store_run(&store, BASE + 1202, 50, &is_private), 1, "%s: its run ends where it does", what);
	}
	munmap(store.window, core_store_window_size(PAGES));
}

static void test_writer(void)
{
	begin();
	take_away(current_list(1), 3 * FLIPS / 4, read_it);
	set(BASE + 1500, 100, true);
	is(faults, 1, "a writer was interrupted");
	is(run_of_reader, 1, "and whoever reads there sees the run of before");
	is(state_of_reader, false, "and the state of before");
	read_it();
	is(run_of_reader, 100, "afterwards the new one");
	munmap(store.window, core_store_window_size(PAGES));
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &sa, NULL);
	test_reader(write_once, 1, "one writer");
	test_reader(write_twice, 2, "two writers");
	test_writer();
	return done_testing();
}
