// SPDX-License-Identifier: MIT
/*
 * overlay/process.c - fork, and what a forked child has to set up
 *
 * A child shares pages and states of every file, but not the locks' holders,
 * the inotify queue, the broker's connection, or, under some engines, the
 * enforcement of its copies of the views.  fork(2) through libc is prepared for; a child
 * that came otherwise is set up at its first call or fault (ov_enter()).
 *
 * Handlers of pthread_atfork(3) may use our objects, so our locks must not be held when
 * they run.  Ours are registered first of all (the object is initialised first), hence
 * "prepare" runs last and the other two run first: between them is libc's fork alone.
 */
#include "host/fd.h"
#include "overlay/overlay.h"
#include "rt/alloc.h"
#include "rt/format.h"
#include "rt/thread.h"

static void fork_prepare(void)
{
	dev_fork_prepare();
	host_fork_prepare();
	rt_alloc_fork_prepare();
}

static void fork_parent(void)
{
	rt_alloc_fork_done();
	host_fork_parent();
	dev_fork_done();
}

/* Also for a child whose parent's locks were in any state: they are made anew. */
void ov_forked(void)
{
	char text[WIRE_TEXT];
	int lost;

	rt_alloc_fork_done();
	dev_fork_done();
	dev_forked();
	rt_thread_forked();
	host_fd_forked();
	ov_fd_forked();
	lost = host_fork_child();
	host_watch_forked();
	dev_forked_objects();
	ov_signal_forked();
	ov_report_forked();
	if (!lost)
		return;
	rt_format(text, sizeof(text), "a forked child has no mappings of some guest_memfds (errno %d): their addresses are SIGSEGV",
		  -lost);
	ov_report_notice(text);
}

/* From prepare to the other two; kept by whoever holds the locks. */
static struct ov_guard fork_guard;

static void at_prepare(void)
{
	struct ov_guard guard;

	ov_enter(&guard);
	fork_prepare();
	fork_guard = guard;
}

static void at_parent(void)
{
	struct ov_guard guard = fork_guard;

	fork_parent();
	ov_leave(&guard);
}

static void at_child(void)
{
	struct ov_guard guard = fork_guard;

	ov_forked();
	ov_leave(&guard);
}

/* glibc exports only what its pthread_atfork(3) is made of. */
static bool registered;

void ov_process_init(void)
{
	int (*glibc)(void (*)(void), void (*)(void), void (*)(void), void *) =
		(int (*)(void (*)(void), void (*)(void), void (*)(void), void *))ov_next_lookup(OV_NEXT___register_atfork);
	int (*other)(void (*)(void), void (*)(void), void (*)(void)) =
		(int (*)(void (*)(void), void (*)(void), void (*)(void)))ov_next_lookup(OV_NEXT_pthread_atfork);

	if (glibc)
		registered = glibc(at_prepare, at_parent, at_child, NULL) == 0;
	else if (other)
		registered = other(at_prepare, at_parent, at_child) == 0;
}

int ov_fork(void)
{
	bool prepare = ov_config.active && !registered;
	long ret;

	if (prepare)
		at_prepare();
	ret = ov_next_call(OV_NEXT_fork, __NR_fork, 0, 0, 0, 0, 0, 0);
	if (prepare && ret == 0)
		at_child();
	else if (prepare)
		at_parent();
	return (int)ov_ret(ret);
}

/*
 * vfork(2) returns twice on one stack, so nothing of ours may stand between
 * caller and libc: jump.  The child shares the address space and needs no setting up.
 */
extern u64 ov_vfork_target(void);
u64 ov_vfork_target(void)
{
	void *function = ov_next_lookup(OV_NEXT_vfork);

	return (u64)(uintptr_t)(function ? function : ov_next_lookup(OV_NEXT_fork));
}

__asm__(".text\n"
	".globl ov_vfork\n"
	".hidden ov_vfork\n"
	"ov_vfork:\n"
	"	push %rax\n"
	"	call ov_vfork_target\n"
	"	pop %rcx\n"
	"	jmp *%rax\n");
