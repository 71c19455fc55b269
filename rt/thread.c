// SPDX-License-Identifier: MIT
/*
 * rt/thread.c - a thread of gmem's own inside the program
 */
#include "rt/thread.h"

#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/signal.h>

#include "rt/syscall.h"

#define FLAGS                                                                                                          \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |      \
	 CLONE_CHILD_CLEARTID)

extern const char rt_thread_enter[] __attribute__((visibility("hidden")));

/* The child returns from rt_syscall_raw() on its own stack, whose top says where to. */
__asm__(".text\n"
	".globl rt_thread_enter\n"
	".hidden rt_thread_enter\n"
	"rt_thread_enter:\n"
	"	pop %rax\n"
	"	pop %rdi\n"
	"	pop %rbp\n"
	"	call *%rax\n"
	"	mov %eax, %esi\n"
	"	mov $60, %edi\n"
	"	push $0\n"
	"	call rt_syscall_raw\n"
	"	hlt\n");

struct call {
	void (*entry)(void *arg);
	void *arg;
};

struct entry_frame {
	const void *enter;
	int (*run)(struct call *call);
	struct call *arg;
	u64 frame; /* 0: backtraces end here; and rsp is a multiple of 16 at the call of run */
	struct call call;
};

static _Atomic u32 running;
static _Atomic int exit_code;

u32 rt_thread_running(void)
{
	return running;
}

void rt_thread_forked(void)
{
	running = 0;
}

void rt_thread_exit_code(int code)
{
	exit_code = code;
}

static int run(struct call *call)
{
	call->entry(call->arg);
	running--;
	return exit_code;
}

int rt_thread_start(void (*entry)(void *arg), void *arg, _Atomic u32 *tid, void **stack)
{
	long base = rt_mmap(NULL, RT_THREAD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct entry_frame *frame;
	const u64 all = ~0ULL;
	u64 mask;
	long ret;

	if (rt_is_err(base))
		return -ENOMEM;
	frame = (struct entry_frame *)(base + (long)RT_THREAD_STACK) - 1;
	_Static_assert(sizeof(*frame) == 48, "alignment of the first call");
	frame->enter = rt_thread_enter;
	frame->run = run;
	frame->call = (struct call){ entry, arg };
	frame->arg = &frame->call;
	running++;
	/* Signals to the process are for the program's threads: its handlers need their libc. */
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, sizeof(mask), 0, 0);
	ret = rt_syscall(__NR_clone, FLAGS, frame, tid, tid, 0);
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0, 0);
	if (rt_is_err(ret)) {
		running--;
		rt_munmap((void *)base, RT_THREAD_STACK);
		return (int)ret;
	}
	*stack = (void *)base;
	return 0;
}
