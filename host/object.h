/* SPDX-License-Identifier: MIT */
/*
 * host/object.h - the inode that stands for an emulated object
 *
 * Each KVM object is a memfd of its own.  The program holds a re-open of it,
 * gmem keeps another.  Identity is (dev, ino), whatever way a descriptor came;
 * whether anything of the program still refers to the inode, descriptor or
 * mapping in any process, is what a write lease on our own re-open tells: the
 * kernel grants it only to the sole writable opener.
 */
#ifndef GMEM_HOST_OBJECT_H
#define GMEM_HOST_OBJECT_H

#include "rt/types.h"

struct host_ident {
	u64 dev, ino;
};

struct host_object {
	struct host_ident id;
	int keep; /* hidden re-open, O_RDWR; -1 when there is no object */
};

/*
 * Create the object and open it for the program; returns the program's
 * descriptor, the lowest free one (no close-on-exec unless asked).  name shows
 * in /proc/PID/fd, size is the memfd's, which is sealed against resizing.
 * -EMFILE, -ENFILE, -ENOMEM.
 */
int host_object_create(struct host_object *obj, const char *name, u64 size, bool cloexec);
/* The same without a descriptor for the program, who must not see one before the object is ready: 0 or -errno. */
int host_object_make(struct host_object *obj, const char *name, u64 size);
/* Another open file of the same object; flags as open(2). */
int host_object_open(const struct host_object *obj, int flags);
/* Become an object whose descriptor came from elsewhere, and stays the caller's. */
int host_object_adopt(struct host_object *obj, int fd);
void host_object_fini(struct host_object *obj);

/* Whether anybody but gmem's keep refers to the inode; true when that cannot be told. */
bool host_object_in_use(const struct host_object *obj);
/* Same test for any hidden descriptor that is itself a re-open. */
bool host_inode_in_use(int keep);

/* (dev, ino) behind a descriptor: 0 or -EBADF. */
int host_ident_of(int fd, struct host_ident *ret);
static inline bool host_ident_equal(struct host_ident a, struct host_ident b)
{
	return a.ino == b.ino && a.dev == b.dev;
}

/*
 * Last-close watches: host_watch_add() asks to be told when an open file of
 * the inode goes away; host_watch_fired() says whether any did since the last call (always true
 * when the kernel gives no inotify instance), in one system call.
 */
void host_watch_add(int keep);
bool host_watch_fired(void);
/* The inotify instance is shared with the parent after fork: start a new one. */
void host_watch_forked(void);

#endif
