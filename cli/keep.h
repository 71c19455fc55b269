/* SPDX-License-Identifier: MIT */
/*
 * cli/keep.h - the guest_memfd files of a run, kept for those who will adopt them
 */
#ifndef GMEM_CLI_KEEP_H
#define GMEM_CLI_KEEP_H

#include "overlay/wire.h"

#define KEEP_FDS 3 /* placeholder, backing, state */

struct kept_file {
	struct kept_file *next;
	struct wire_msg announced; /* WIRE_FILE, as it came: also the answer to WIRE_ADOPT */
	int fd[KEEP_FDS];
	const void *creator; /* connection that announced it; NULL once that is gone */
};

struct keep {
	struct kept_file *files;
	int inotify;	  /* readable when something was closed; -1 where there is none */
	unsigned retries; /* tests still to be made after an event: keep_timeout() */
};

void keep_init(struct keep *keep);
void keep_fini(struct keep *keep);

/* Keep a file; takes the descriptors whatever happens.  -ENOMEM. */
int keep_add(struct keep *keep, const struct wire_msg *msg, const int fd[KEEP_FDS], const void *creator);
struct kept_file *keep_find(const struct keep *keep, u64 dev, u64 ino);

/* Somebody says that the file is dead: it is dropped if that is true. */
void keep_gone(struct keep *keep, u64 dev, u64 ino);
/* A connection ended; others tells whether any is left. */
void keep_creator_gone(struct keep *keep, const void *creator, bool others);
/* Read events, and drop what is dead. */
void keep_event(struct keep *keep, bool others);
/* Milliseconds until keep_event() wants to be called again, or -1. */
int keep_timeout(const struct keep *keep);

#endif
