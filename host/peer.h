/* SPDX-License-Identifier: MIT */
/*
 * host/peer.h - one file in several processes: their views comply before a conversion returns
 */
#ifndef GMEM_HOST_PEER_H
#define GMEM_HOST_PEER_H

#include "host/host.h"

/*
 * Enter this process among those that have views of the file, with the file
 * lock held and before the first view is mapped.  Starts the helper when the file is
 * shared.  -ENFILE when HOST_PEERS processes are there already, -EAGAIN, -ENOMEM.
 */
int host_peer_attach(struct host_file *file);
/* Leave; the helper ends.  No view may be left. */
void host_peer_detach(struct host_file *file);
/*
 * Whether a process is dead, a zombie, or one with the same number as it that started at
 * another time (start, low bits; 0: not known).  False when that cannot be told.
 */
bool host_process_gone(u32 pid, u32 start);
u32 host_process_start(void);
/*
 * Whether every thread of the program has ended by exit(2), so that nothing but gmem's own keep this process alive: a
 * child of clone(2) ends so, and no C library tells.  They look from time to time (host_look_ns()), and end.
 */
bool host_process_left(void);
u64 host_look_ns(void);
/* A child that no C library knows of ends by exit(2) more likely than not: look often. */
void host_process_unknown(void);
/* Whether it is stopped by a signal; and the CPU time that it has had, unchanged when that cannot be told. */
bool host_process_stopped(u32 pid, u64 *ticks);
/* From now on other processes may map the file: a helper for every process that has views. */
void host_peer_share(struct host_file *file);
/*
 * Around exec(2), which the entry of a process without a helper would survive: leave, and come back when it failed.
 * Nothing happens in a vfork(2) child, whose entries are its parent's.
 */
void host_peer_leave(struct host_file *file, bool leave);
/* In a forked child: entry and helper were the parent's, unless they have been renewed. */
void host_peer_forked(struct host_file *file);
/* Somebody asked for helpers by HOST_PEER_SIGNAL: start what is missing. */
void host_peer_called(struct host_file *file);

/*
 * Make the views of all other processes deny the pages of a conversion to private, the file lock
 * held, the pages published as in transition: 0 when all have, -EAGAIN when one did not in time;
 * then what had been denied is allowed again.
 */
int host_peers_deny(struct host_file *file);
/* What host_peers_deny() achieved is not wanted any more, and the states have not changed. */
void host_peers_settle(struct host_file *file);
/* A conversion to shared has been committed and is in transition still; who is late complies when it runs again. */
void host_peers_allow(struct host_file *file);

/* Ignored by default; a process without a helper is asked by it to start one.  si_code tells it from others'. */
#define HOST_PEER_SIGNAL 23 /* SIGURG */
#define HOST_PEER_CODE	 (-0x6d67)

/* host/convert.c: whether the range of the transition, if there is one, meets the pages. */
bool host_transition_covers(const struct host_control *control, struct rt_pages pages);
/* Pages that a conversion to private counts on being denied.  Who opens pages for
 * the states' sake, or drops markers, asks with the table lock held and leaves those alone (TRANSITION-2). */
bool host_transition_bars(const struct host_control *control, struct rt_pages pages);
/* Whether the file lock has a holder, and one that lives. */
bool host_file_locked(struct host_control *control);
/* TRANSITION-3, for the conversion whose seq the caller saw: true when it is over; false when its states are being written. */
bool host_transition_call_off(struct host_control *control, u32 seen);

/* host/convert.c, for the helper: this process's views only. */
void host_transition_end(struct host_control *control);
int host_views_deny(struct host_file *file, struct rt_pages range);
int host_views_allow(struct host_file *file, struct rt_pages range);
/* host/poison.c: after pages of the range were opened, with the table lock held. */
void host_poison_deny(struct host_file *file, struct rt_pages range);
/* Bring the views in line with the states. */
int host_views_settle(struct host_file *file, struct rt_pages range);

#endif
