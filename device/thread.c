// SPDX-License-Identifier: MIT
/*
 * device/thread.c - which thread is in KVM_RUN
 *
 * An open-addressed table.  An entry stays its thread's after KVM_RUN and is
 * taken over by another when it is in the way; it never becomes empty, so that a
 * search ends at the first empty one.
 */
#include <stdatomic.h>
#include <asm/prctl.h>

#include "device/thread.h"
#include "rt/auxv.h"
#include "rt/syscall.h"

#define TABLE_SIZE	4096U
#define THREAD_RUNS	(1ULL << 63)
#define TAKE_OVER_AFTER 4U
#define AT_HWCAP2_	26
#define HWCAP2_FSGSBASE_ 2

static struct dev_thread table[TABLE_SIZE];
static bool can_read_fs;

void dev_thread_init(void)
{
	can_read_fs = rt_auxv(AT_HWCAP2_) & HWCAP2_FSGSBASE_;
}

static u64 identity(void)
{
	u64 base = 0;

	if (can_read_fs)
		__asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0xae, 0xc0" : "=a"(base)); /* rdfsbase %rax */
	else
		rt_syscall_raw(__NR_arch_prctl, ARCH_GET_FS, (long)&base, 0, 0, 0, 0);
	return base ? base & ~THREAD_RUNS : 1;
}

static u32 first_of(u64 self)
{
	return (u32)((self >> 6) * 0x9e3779b97f4a7c15ULL >> 40);
}

struct dev_thread *dev_thread_here(void)
{
	u64 self = identity();
	u32 at = first_of(self);

	for (u32 i = 0; i < TABLE_SIZE; i++) {
		struct dev_thread *t = &table[(at + i) % TABLE_SIZE];

		if (t->word == (self | THREAD_RUNS))
			return t;
		if (!t->word)
			break;
	}
	return NULL;
}

static bool take(struct dev_thread *t, u64 expected, u64 self)
{
	return atomic_compare_exchange_strong(&t->word, &expected, self | THREAD_RUNS);
}

struct dev_thread *dev_thread_enter(void)
{
	u64 self = identity();
	u32 at = first_of(self);

	for (u32 i = 0; i < TABLE_SIZE; i++) {
		struct dev_thread *t = &table[(at + i) % TABLE_SIZE];
		u64 word = t->word;

		if (word & THREAD_RUNS)
			continue;
		if (word && word != self && i < TAKE_OVER_AFTER)
			continue;
		if (take(t, word, self))
			return t;
	}
	return NULL;
}

void dev_thread_leave(struct dev_thread *thread)
{
	if (thread->timer)
		dev_stuck_leave(thread);
	thread->deferred = false;
	atomic_store(&thread->word, thread->word & ~THREAD_RUNS);
}

void dev_thread_forked(void)
{
	for (u32 i = 0; i < TABLE_SIZE; i++) {
		if (!table[i].word)
			continue;
		table[i].word = 0;
		table[i].timer = 0;
	}
}
