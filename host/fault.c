// SPDX-License-Identifier: MIT
/*
 * host/fault.c - what a fault in a view means
 *
 * THEORY OF OPERATION
 *
 * The states decide, not the signal: a private page is SIGBUS, BUS_ADRERR,
 * whatever number and code the engine's mechanism raised.  A page in transition
 * has no state yet: wait for the end of the conversion, at most WAIT_STEPS
 * and only while the converter lives, then call it off (TRANSITION-3) and decide.  A shared page that faulted
 * lost a race that is over: run the instruction again.  When the same one faults
 * again and again, a view and the states disagree (HOST-4): re-apply, then give up.
 */
#include <linux/mman.h>
#include <linux/signal.h>

#include "host/engine.h"
#include "host/peer.h"

#define WAIT_STEP_NS 10000000ULL
#define WAIT_STEPS   200 /* 2 s: no conversion takes as long, unless its process is stopped */
#define RETRY_MAX    1000

static bool in_transition(const struct host_control *control, struct rt_pages pages, u32 *seq)
{
	*seq = __atomic_load_n(ATOMIC_U32(control->seq), __ATOMIC_ACQUIRE);
	return (*seq & 1) && host_transition_covers(control, pages);
}

enum outcome {
	NOTHING_PENDING, /* and nothing was */
	IS_OVER,
	IS_UNDECIDED, /* look again */
	IS_WRITTEN,   /* to private, by somebody who was stopped in the middle of it */
};

/* Wait for the end of the conversion of the pages, but not for ever: TRANSITION-3. */
static enum outcome wait_transition(struct host_control *control, struct rt_pages pages)
{
	bool dead = false;
	u32 seq;

	for (int i = 0; !dead && i < WAIT_STEPS; i++) {
		if (!in_transition(control, pages, &seq))
			return i ? IS_OVER : NOTHING_PENDING;
		dead = (i && !host_file_locked(control)) || !__atomic_load_n(ATOMIC_U32(control->owner), __ATOMIC_RELAXED);
		if (dead)
			break;
		__atomic_fetch_add(ATOMIC_U32(control->waiters), 1, __ATOMIC_SEQ_CST);
		rt_futex_wait(&control->seq, seq, WAIT_STEP_NS, true);
		__atomic_fetch_sub(ATOMIC_U32(control->waiters), 1, __ATOMIC_SEQ_CST);
	}
	if (host_transition_call_off(control, seq))
		return IS_OVER;
	/* The lock of a dead one may have been taken over this moment. */
	return dead || !host_transition_bars(control, pages) ? IS_UNDECIDED : IS_WRITTEN;
}

/* Faults in a row at one address, by any thread: a hint only. */
static u32 retries(u64 addr, u32 seq)
{
	static _Atomic u64 last;
	static _Atomic u32 times;

	/* A conversion in between explains any number of them. */
	addr ^= (u64)seq << 48;
	if (__atomic_exchange_n(ATOMIC_U64(last), addr, __ATOMIC_RELAXED) != addr) {
		times = 0;
		return 0;
	}
	return ++times;
}

/* The view disagrees with the state of a shared page. */
static bool reapply(u64 addr)
{
	struct host_view *v;
	bool ok = false;
	u64 at;

	table_lock();
	at = table_find(addr);
	v = host_table.views + at;
	if (at < host_table.count && v->start <= addr && !(v->flags & VIEW_BROKEN)) {
		struct rt_pages page = { (v->off + (addr - v->start)) >> RT_PAGE_SHIFT, 1 };

		ok = !core_store_is_private(&v->file->store, page.first) &&
		     !host_transition_bars(v->file->control, page) && !host_engine->allow(v, page);
		if (ok)
			host_engine->allow_finish(v, page);
	}
	table_unlock();
	return ok;
}

/*
 * Engines that map on demand.  This takes the table lock in a signal handler: the
 * thread cannot hold it, since whoever holds it touches no page of a view.
 */
static bool serve(u64 addr)
{
	struct host_view *v;
	bool served = false;
	u64 at;

	if (!host_engine->serves)
		return false;
	table_lock();
	at = table_find(addr);
	v = host_table.views + at;
	if (at < host_table.count && v->start <= addr) {
		struct rt_pages page = { (v->off + (addr - v->start)) >> RT_PAGE_SHIFT, 1 };

		served = !host_transition_bars(v->file->control, page) && host_engine->serve(v, page.first);
	}
	table_unlock();
	return served;
}

static enum host_fault_kind classify(const struct host_view *v, int signo, int code, u64 addr, struct host_fault *ret)
{
	struct rt_pages page = { ret->offset >> RT_PAGE_SHIFT, 1 };
	u32 times, seq = __atomic_load_n(ATOMIC_U32(v->file->control->seq), __ATOMIC_RELAXED);
	enum outcome outcome;

	if (guard_covers(addr))
		return signo == SIGSEGV ? HOST_FAULT_OTHER : HOST_FAULT_GUARD;
	if (ret->offset >= v->file->size) {
		ret->beyond_end = true;
		return signo == SIGSEGV ? HOST_FAULT_OTHER : HOST_FAULT_BUS;
	}
	/* A writable view is PROT_NONE for an instant while it is made or replaced. */
	if (signo == SIGSEGV && code == SEGV_ACCERR && !(v->flags & VIEW_BROKEN))
		return (v->prot & PROT_WRITE) && retries(addr, seq) < RETRY_MAX ? HOST_FAULT_RETRY : HOST_FAULT_OTHER;
	outcome = wait_transition(v->file->control, page);
	if (core_store_is_private(&v->file->store, page.first) || outcome == IS_WRITTEN)
		return HOST_FAULT_BUS;
	if (outcome == IS_UNDECIDED)
		return HOST_FAULT_RETRY;
	if (host_poisoned(v->file, page.first))
		return HOST_FAULT_POISON;
	if (serve(addr))
		return HOST_FAULT_RETRY;
	times = retries(addr, seq);
	if (times < RETRY_MAX || (times == RETRY_MAX && reapply(addr)))
		return HOST_FAULT_RETRY;
	if (times < 2 * RETRY_MAX)
		return HOST_FAULT_RETRY;
	return signo == SIGSEGV ? HOST_FAULT_OTHER : HOST_FAULT_BUS;
}

void host_fault(int signo, int code, void *addr, struct host_fault *ret)
{
	struct host_view v;

	*ret = (struct host_fault){ .kind = HOST_FAULT_FOREIGN };
	if (!__atomic_load_n(ATOMIC_U64(host_table.count), __ATOMIC_RELAXED) || code <= 0)
		return;
	table_read_enter();
	if (table_lookup((u64)addr, &v)) {
		ret->file = v.file;
		ret->offset = v.off + ((u64)addr - v.start);
		ret->kind = classify(&v, signo, code, (u64)addr, ret);
	}
	table_read_exit();
}

bool host_fault_fixup(void *addr, u64 len)
{
	u64 at = (u64)addr, end = rt_add_wraps(at, len) ? ~0ULL : at + len;
	bool again = false;
	struct host_view v;

	/* What a system call is given is short in practice; beyond that, try once more and see. */
	for (int pages = 0; at < end && pages < 4096; pages++) {
		table_read_enter();
		if (table_lookup(at, &v) && v.off + (at - v.start) < v.file->size) {
			struct rt_pages page = { (v.off + (at - v.start)) >> RT_PAGE_SHIFT, 1 };

			again |= wait_transition(v.file->control, page) != NOTHING_PENDING;
			/* The program's own guard, or a page that is struck, is there the next time, too. */
			if (!core_store_is_private(&v.file->store, page.first) && v.prot != PROT_NONE && !guard_covers(at) &&
			    !host_poisoned(v.file, page.first)) {
				serve(at);
				again = true;
			}
		}
		table_read_exit();
		at = (at & ~RT_PAGE_MASK) + RT_PAGE_SIZE;
	}
	return again;
}
