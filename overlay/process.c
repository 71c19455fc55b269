// SPDX-License-Identifier: MIT
/*
 * overlay/process.c - fork, and what a forked child has to set up
 *
 * A child shares pages and states of every file, but not the locks' holders,
 * the inotify queue, the broker's connection, or, under some engines, the
 * enforcement of its copies of the views.  fork(2) through libc is prepared for; a child
 * that came otherwise is set up at its first call or fault (ov_enter()).
 */
#include "host/fd.h"
#include "overlay/overlay.h"
#include "rt/alloc.h"

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
	rt_alloc_fork_done();
	dev_fork_done();
	dev_forked();
	host_fd_forked();
	ov_fd_forked();
	host_fork_child();
	host_watch_forked();
	dev_forked_objects();
	ov_signal_forked();
	ov_report_forked();
}

static int fork_through(enum ov_next_id next)
{
	struct ov_guard guard;
	long ret;

	if (!ov_config.active)
		return (int)ov_ret(ov_next_call(next, __NR_fork, 0, 0, 0, 0, 0, 0));
	ov_enter(&guard);
	fork_prepare();
	ret = ov_next_call(next, __NR_fork, 0, 0, 0, 0, 0, 0);
	if (ret == 0)
		ov_forked();
	else
		fork_parent();
	ov_leave(&guard);
	return (int)ov_ret(ret);
}

int ov_fork(void)
{
	return fork_through(OV_NEXT_fork);
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
