// SPDX-License-Identifier: MIT
/*
 * host/convert.c - a conversion in the views of this process
 *
 * THEORY OF OPERATION
 *
 * begin() publishes the range as being in transition (seq odd), makes the views
 * comply and leaves the table lock held; the caller commits the states; end()
 * retracts the publication and wakes who waits.  Between the two, a fault on a
 * page of the range may be due to either state: host_fault() waits.
 *
 *  TRANSITION-1  seq is 1 modulo 4 while the conversion can be called off, 3 when its states
 *		  are being written, even when there is none.  Its converter, the holder of the file lock,
 *		  and whoever calls it off leave 1 by compare-and-exchange: one of them wins.
 *  TRANSITION-2  Other processes' views deny the range from their helper's answer on, although
 *		  the states still say shared: nobody but a helper opens pages of a transition to private,
 *		  or drops markers there.  Looked at under the process's table lock, which the
 *		  helper needs for its denial: what is opened before is denied then.
 *  TRANSITION-3  Waiting for a conversion is bounded.  Who cannot wait any longer calls it off,
 *		  then opens the page; the converter, when it goes on, finds that out and answers
 *		  -EAGAIN.  It is the conversion that was waited for, told by its seq, and no later one
 *		  of the same pages.  Written states cannot be called off while the writer lives: they count as private.
 *
 * To private: deny in every view; on failure allow again what is shared.
 * To shared: open in every view, which can fail and shows nothing of the range
 * yet in regions that were open before; then clear the markers, which cannot.
 * Other processes deny before the commit and open after it: whoever is killed in
 * between leaves a view that is closed too far (host_fault() opens it), never one that is open.
 */
#include "host/engine.h"
#include "host/peer.h"

static struct rt_pages pages_in(const struct host_view *v, struct rt_pages range)
{
	return pages_and(range, view_pages(v));
}

/* The next view of file at or after *at in the table, or NULL. */
static struct host_view *next_view(const struct host_file *file, u64 *at, u64 *left)
{
	while (*left && *at < host_table.count) {
		struct host_view *v = host_table.views + (*at)++;

		if (v->file != file)
			continue;
		(*left)--;
		return v;
	}
	return NULL;
}

#define FOR_EACH_VIEW(v, file)                                                                                         \
	for (u64 at_ = 0, left_ = (file)->views; ((v) = next_view((file), &at_, &left_)) != NULL;)

#define SEQ_PHASE   3U
#define SEQ_OPEN    1U /* can be called off */
#define SEQ_WRITING 3U

static bool move_seq(struct host_control *control, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(ATOMIC_U32(control->seq), &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* seq is odd already when the last converter died half-way. */
static void transition_begin(struct host_control *control, struct rt_pages range, bool to_private)
{
	u32 seq = __atomic_load_n(ATOMIC_U32(control->seq), __ATOMIC_RELAXED);

	__atomic_store_n(ATOMIC_U64(control->transition_first), range.first, __ATOMIC_RELAXED);
	__atomic_store_n(ATOMIC_U64(control->transition_count), range.count, __ATOMIC_RELAXED);
	__atomic_store_n(ATOMIC_U32(control->transition_private), to_private, __ATOMIC_RELAXED);
	__atomic_store_n(ATOMIC_U32(control->seq), (seq | SEQ_PHASE) + 2, __ATOMIC_SEQ_CST);
}

/* False when somebody has called the conversion off. */
static bool transition_write(struct host_control *control)
{
	u32 seq = __atomic_load_n(ATOMIC_U32(control->seq), __ATOMIC_SEQ_CST);

	return (seq & SEQ_PHASE) == SEQ_OPEN && move_seq(control, seq, seq + SEQ_WRITING - SEQ_OPEN);
}

static void wake_waiters(struct host_control *control)
{
	if (__atomic_load_n(ATOMIC_U32(control->waiters), __ATOMIC_SEQ_CST))
		rt_futex_wake(&control->seq, 1 << 30, true);
}

void host_transition_end(struct host_control *control)
{
	u32 seq;

	/* It may be called off this very moment. */
	do {
		seq = __atomic_load_n(ATOMIC_U32(control->seq), __ATOMIC_SEQ_CST);
	} while ((seq & 1) && !move_seq(control, seq, seq + 1));
	wake_waiters(control);
}

bool host_transition_covers(const struct host_control *control, struct rt_pages pages)
{
	struct rt_pages range;

	range.first = __atomic_load_n(ATOMIC_U64(control->transition_first), __ATOMIC_RELAXED);
	range.count = __atomic_load_n(ATOMIC_U64(control->transition_count), __ATOMIC_RELAXED);
	return pages_and(range, pages).count != 0;
}

bool host_transition_bars(const struct host_control *control, struct rt_pages pages)
{
	if (!(__atomic_load_n(ATOMIC_U32(control->seq), __ATOMIC_SEQ_CST) & 1))
		return false;
	return __atomic_load_n(ATOMIC_U32(control->transition_private), __ATOMIC_RELAXED) && host_transition_covers(control, pages);
}

bool host_transition_call_off(struct host_control *control, u32 seen)
{
	for (;;) {
		u32 seq = __atomic_load_n(ATOMIC_U32(control->seq), __ATOMIC_SEQ_CST);

		/* Another conversion is none of the caller's, even of the same pages. */
		if (seq != seen && ((seen & SEQ_PHASE) != SEQ_OPEN || seq != seen + SEQ_WRITING - SEQ_OPEN))
			return true;
		/* With its writer dead, the states are what it has written of them. */
		if ((seq & SEQ_PHASE) == SEQ_WRITING && host_file_locked(control))
			return false;
		if (!move_seq(control, seq, seq + 1))
			continue;
		wake_waiters(control);
		return true;
	}
}

/* The states are still the old ones: let the views agree with them. */
static void undo_deny(struct host_view *v, struct rt_pages pages)
{
	struct rt_pages run;

	for (run = shared_run(v, pages); run.count; run = shared_run(v, pages_after(pages, run))) {
		if (host_engine->allow(v, run))
			continue; /* fail closed; host_fault() tries again */
		host_engine->allow_finish(v, run);
		guard_reinstall(v, run);
	}
}

int host_views_deny(struct host_file *file, struct rt_pages range)
{
	struct host_view *v, *failed = NULL;
	int ret = 0;

	FOR_EACH_VIEW(v, file) {
		ret = host_engine->deny(v, pages_in(v, range));
		if (ret) {
			failed = v;
			break;
		}
	}
	if (!failed)
		return 0;
	FOR_EACH_VIEW(v, file) {
		undo_deny(v, pages_in(v, range));
		if (v == failed)
			break;
	}
	return ret;
}

int host_views_allow(struct host_file *file, struct rt_pages range)
{
	struct host_view *v, *failed = NULL;
	int ret = 0;

	FOR_EACH_VIEW(v, file) {
		ret = host_engine->allow(v, pages_in(v, range));
		if (ret) {
			failed = v;
			break;
		}
	}
	FOR_EACH_VIEW(v, file) {
		if (v == failed)
			break;
		if (failed) {
			host_engine->allow_undo(v, pages_in(v, range));
			continue;
		}
		host_engine->allow_finish(v, pages_in(v, range));
		guard_reinstall(v, pages_in(v, range));
	}
	return ret;
}

/* What was denied for a conversion that did not happen opens again; private pages are so already. */
int host_views_settle(struct host_file *file, struct rt_pages range)
{
	struct host_view *v;

	FOR_EACH_VIEW(v, file)
		undo_deny(v, pages_in(v, range));
	host_poison_deny(file, range);
	return 0;
}

/* Other processes first and without the table lock: they may be waiting for us in the same way. */
int host_convert_begin(struct host_file *file, struct rt_pages range, bool to_private)
{
	int ret;

	transition_begin(file->control, range, to_private);
	ret = to_private ? host_peers_deny(file) : 0;
	if (ret) {
		host_transition_end(file->control);
		return ret;
	}
	table_lock();
	if (file->views)
		ret = to_private ? host_views_deny(file, range) : host_views_allow(file, range);
	ret = ret ? -ENOMEM : 0;
	if (!ret && to_private && !transition_write(file->control)) {
		host_views_settle(file, range);
		ret = -EAGAIN;
	}
	if (!ret)
		return 0;
	table_unlock();
	if (to_private)
		host_peers_settle(file);
	host_transition_end(file->control);
	return ret;
}

void host_convert_end(struct host_file *file, struct rt_pages range, bool to_private)
{
	/* Now that the pages count as shared: what is broken among them is denied all the same. */
	if (!to_private)
		host_poison_deny(file, range);
	table_unlock();
	/* Without the table lock, for the same reason. */
	if (!to_private)
		host_peers_allow(file);
	host_transition_end(file->control);
}
