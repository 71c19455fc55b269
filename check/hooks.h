/* SPDX-License-Identifier: MIT */
/*
 * check/hooks.h - pages that are held or broken: by gmem's test hooks where it runs, by the kernel's means elsewhere
 *
 * A held page is one that a pipe has (vmsplice): the kernel counts its references, gmem
 * cannot.  A broken page is made by MADV_HWPOISON, which takes a page of the machine
 * out of use until it is booted: only where the user has said --poison.
 */
#ifndef GMEM_CHECK_HOOKS_H
#define GMEM_CHECK_HOOKS_H

#include <sys/uio.h>

#include "check/check.h"

/* Of the preload object; NULL without it. */
extern int gmem_test_pin(int fd, uint64_t offset, int on) __attribute__((weak));
extern int gmem_test_poison(int fd, uint64_t offset) __attribute__((weak));

#define POISON 100 /* MADV_HWPOISON */

struct hold {
	int file, pipe_fds[2];
	uint64_t offset;
};

/* The page at `offset` of a file, mapped at `at`. */
static UNUSED struct hold hold_page(int file, char *at, uint64_t offset)
{
	struct hold h = { .file = file, .offset = offset };
	struct iovec iov = { at, PG };

	if (gmem_test_pin ? gmem_test_pin(file, offset, 1)
			  : pipe(h.pipe_fds) || vmsplice(h.pipe_fds[1], &iov, 1, 0) != PG)
		die("a page cannot be held");
	trace_note(0, "the page at %#llx of %d is held", (unsigned long long)offset, file);
	return h;
}

static UNUSED void let_go(struct hold *h)
{
	if (gmem_test_pin) {
		gmem_test_pin(h->file, h->offset, 0);
	} else {
		close(h->pipe_fds[0]);
		close(h->pipe_fds[1]);
	}
	trace_note(0, "the page at %#llx of %d is let go", (unsigned long long)h->offset, h->file);
}

/*
 * The page is used before.  The kernel tells this thread at once, by SIGBUS; that it
 * answers EBUSY as well means that the page stays in the file.
 */
static UNUSED void break_page(int file, char *at, uint64_t offset)
{
	check_store(at, check_load(at) & 0xff);
	if (gmem_test_poison ? gmem_test_poison(file, offset) : (madvise)(at, PG, POISON) && errno != EBUSY)
		die("a page cannot be broken");
	check_expect_signals();
	trace_note(0, "the page at %#llx of %d is broken", (unsigned long long)offset, file);
}

#endif
