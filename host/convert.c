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

/* seq is odd already when peers were asked first, or the last converter died half-way. */
void host_transition_begin(struct host_control *control, struct rt_pages range)
{
	u32 seq = __atomic_load_n(ATOMIC_U32(control->seq), __ATOMIC_RELAXED);

	__atomic_store_n(ATOMIC_U64(control->transition_first), range.first, __ATOMIC_RELAXED);
	__atomic_store_n(ATOMIC_U64(control->transition_count), range.count, __ATOMIC_RELAXED);
	__atomic_store_n(ATOMIC_U32(control->seq), (seq + 2) | 1, __ATOMIC_SEQ_CST);
}

void host_transition_end(struct host_control *control)
{
	__atomic_fetch_add(ATOMIC_U32(control->seq), 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(ATOMIC_U32(control->waiters), __ATOMIC_SEQ_CST))
		rt_futex_wake(&control->seq, 1 << 30, true);
}

/* The states are still the old ones: let the views agree with them. */
static void undo_deny(struct host_view *v, struct rt_pages pages)
{
	struct rt_pages run;

	for (run = shared_run(v, pages); run.count; run = shared_run(v, pages_after(pages, run))) {
		if (host_engine->allow(v, run))
			continue; /* fail closed; host_fault() tries again */
		host_engine->allow_finish(v, run);
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

int host_convert_begin(struct host_file *file, struct rt_pages range, bool to_private)
{
	int ret = to_private ? host_peers_deny(file, range) : 0;

	/* Other processes first and without the table lock: they may be waiting for us in the same way. */
	if (ret)
		return ret;
	table_lock();
	host_transition_begin(file->control, range);
	if (file->views)
		ret = to_private ? host_views_deny(file, range) : host_views_allow(file, range);
	if (ret) {
		host_transition_end(file->control);
		table_unlock();
		return -ENOMEM;
	}
	return 0;
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
