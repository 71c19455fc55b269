/* SPDX-License-Identifier: MIT */
/*
 * overlay/servable.h - whether preload can serve a program
 *
 * A program that the loader starts without the preload object would use the
 * real kernel unnoticed.  So `gmem run`, and every exec in a served program,
 * ask here first.
 */
#ifndef GMEM_OVERLAY_SERVABLE_H
#define GMEM_OVERLAY_SERVABLE_H

#include "rt/types.h"

#define SERVABLE_BUF	256 /* what the kernel looks at to tell formats apart: BINPRM_BUF_SIZE */
#define SERVABLE_LEVELS 5   /* scripts whose interpreter is a script; one more is ELOOP in the kernel */

struct servable {
	const char *reason;	   /* why gmem refuses, in words; NULL: the kernel itself would fail so */
	char interp[SERVABLE_BUF]; /* interpreter of a script, the innermost looked at; "" if none */
	char asan[64];		   /* the shared ASan runtime that the program needs, to stand before us; "" if none */
};

/* Read up to len bytes at off: how many (fewer at the end only), or -errno. */
typedef long servable_read(void *ctx, void *buf, size_t len, u64 off);

/*
 * Judge an image by its bytes alone: 0 a program that preload serves, 1 a
 * script (ret->interp), or -errno.  -ENOEXEC is what exec(2) would say too: no format that it knows.
 */
int servable_image(servable_read *read, void *ctx, struct servable *ret);

/*
 * Judge what execveat(2) of the same arguments would start, scripts followed
 * to their program: 0, or -errno.  With ret->reason set preload cannot serve
 * it; without, exec would fail by itself.  Changes nothing.
 */
int servable_path(int dirfd, const char *path, int flags, struct servable *ret);

/* Whether a library of that name, or path, is a shared ASan runtime. */
bool servable_is_asan(const char *name);

#endif
