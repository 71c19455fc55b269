// SPDX-License-Identifier: MIT
/*
 * cli/keep.c - the guest_memfd files of a run, kept for those who will adopt them
 *
 * Theory of operation: a file must live on when the process that made it is
 * gone and another has it, by inheritance over exec, by a message still in
 * flight, or by nothing but a mapping.  So the broker holds its descriptors,
 * and must find out by itself when nobody else does (INV-6: nothing leaks).
 *
 * The test: every descriptor on placeholder and backing is a re-open through
 * /proc, in any process, in flight over a socket, or behind a mapping.  A write
 * lease (F_SETLEASE, F_WRLCK) is granted exactly when no open file of the inode
 * but the one that asks can write.  Those that we were sent are re-opens too,
 * the very open files that the creator and its forked children hide: so we ask
 * with them, and what is hidden there does not count.  (The file that memfd_create()
 * itself returned must not be sent: it is not counted as a writer but counts
 * itself, and takes one foreign mapping for none.)  An adopter re-opens: it counts as
 * long as it lives.
 *
 *  1. While the connection that announced a file stands, only that process's
 *     word (WIRE_FILE_GONE) ends it, and only if the test agrees: a file just born,
 *     not yet given to the program, has no other opener.
 *  2. Afterwards the test alone decides: when a connection ends, and when
 *     inotify tells of a close.  The event comes a moment before the kernel has
 *     forgotten the open file: hence the retries.
 *  3. Placeholder first, then backing: without a placeholder nobody can
 *     make a new view of the backing.
 *  4. Where leases do not work (fs.leases-enable=0, another owner of the inode)
 *     a file is kept until no served process is left.
 *
 * Holding a lease for a moment disturbs nobody for longer than that moment;
 * the broker ignores SIGIO, which says that somebody waited.
 */
#include "cli/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define RETRIES	 3
#define RETRY_MS 50

enum use { UNUSED, USED, UNKNOWN };

void keep_init(struct keep *keep)
{
	*keep = (struct keep){ .inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC) };
	signal(SIGIO, SIG_IGN);
}

static void drop(struct keep *keep, struct kept_file **link)
{
	struct kept_file *file = *link;

	*link = file->next;
	for (unsigned i = 0; i < KEEP_FDS; i++)
		close(file->fd[i]);
	/* Its watches end with the inodes. */
	free(file);
}

void keep_fini(struct keep *keep)
{
	while (keep->files)
		drop(keep, &keep->files);
	if (keep->inotify >= 0)
		close(keep->inotify);
	keep->inotify = -1;
}

static void watch(const struct keep *keep, int fd)
{
	char path[40];

	if (keep->inotify < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* Without a watch the file is looked at when connections end. */
	inotify_add_watch(keep->inotify, path, IN_CLOSE_WRITE);
}

int keep_add(struct keep *keep, const struct wire_msg *msg, const int fd[KEEP_FDS], const void *creator)
{
	struct kept_file **link = &keep->files, *file = malloc(sizeof(*file));

	if (!file) {
		for (unsigned i = 0; i < KEEP_FDS; i++)
			close(fd[i]);
		return -ENOMEM;
	}
	/* Announced again, by an adopter or after exec: the newer word counts. */
	while (*link && ((*link)->announced.dev != msg->dev || (*link)->announced.ino != msg->ino))
		link = &(*link)->next;
	if (*link)
		drop(keep, link);
	file->announced = *msg;
	file->creator = creator;
	for (unsigned i = 0; i < KEEP_FDS; i++)
		file->fd[i] = fd[i];
	file->next = keep->files;
	keep->files = file;
	watch(keep, fd[0]);
	watch(keep, fd[1]);
	return 0;
}

struct kept_file *keep_find(const struct keep *keep, u64 dev, u64 ino)
{
	struct kept_file *file = keep->files;

	while (file && (file->announced.dev != dev || file->announced.ino != ino))
		file = file->next;
	return file;
}

static enum use inode_use(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
		fcntl(fd, F_SETLEASE, F_UNLCK);
		return UNUSED;
	}
	return errno == EAGAIN ? USED : UNKNOWN;
}

static enum use file_use(const struct kept_file *file)
{
	enum use use = inode_use(file->fd[0]);

	return use == UNUSED ? inode_use(file->fd[1]) : use;
}

/* Drop the files without creator that nobody uses any more. */
static void sweep(struct keep *keep, bool others)
{
	struct kept_file **link = &keep->files;

	while (*link) {
		enum use use = (*link)->creator ? USED : file_use(*link);

		if (use == UNUSED || (use == UNKNOWN && !others))
			drop(keep, link);
		else
			link = &(*link)->next;
	}
}

void keep_gone(struct keep *keep, u64 dev, u64 ino)
{
	struct kept_file **link = &keep->files;

	while (*link && ((*link)->announced.dev != dev || (*link)->announced.ino != ino))
		link = &(*link)->next;
	if (!*link)
		return;
	if (file_use(*link) != USED) {
		drop(keep, link);
		return;
	}
	/* Not yet true: from now on the test decides. */
	(*link)->creator = NULL;
	keep->retries = RETRIES;
}

void keep_creator_gone(struct keep *keep, const void *creator, bool others)
{
	for (struct kept_file *file = keep->files; file; file = file->next) {
		if (file->creator == creator)
			file->creator = NULL;
	}
	keep->retries = RETRIES;
	sweep(keep, others);
}

void keep_event(struct keep *keep, bool others)
{
	char events[4096];
	bool fired = false;

	while (keep->inotify >= 0 && read(keep->inotify, events, sizeof(events)) > 0)
		fired = true;
	if (fired)
		keep->retries = RETRIES;
	else if (keep->retries)
		keep->retries--;
	sweep(keep, others);
}

int keep_timeout(const struct keep *keep)
{
	return keep->retries && keep->files ? RETRY_MS : -1;
}
