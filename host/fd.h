/* SPDX-License-Identifier: MIT */
/*
 * host/fd.h - gmem's own descriptors, out of the program's sight
 *
 * They are close-on-exec and sit above the program's soft RLIMIT_NOFILE where
 * the hard limit leaves room, else as high as possible, so that they neither
 * take the lowest free number nor count against the program.  The overlay
 * answers EBADF for them (host_fd_hidden) and steps around them in close_range.
 */
#ifndef GMEM_HOST_FD_H
#define GMEM_HOST_FD_H

#include "rt/types.h"

/* Move fd to a hidden number and close the given one (also on failure).  -EMFILE, -EINVAL. */
int host_fd_hide(int fd);
void host_fd_close(int fd); /* a hidden one, or -1 */
bool host_fd_hidden(int fd);
/* The lowest hidden number >= fd, or -1. */
int host_fd_next_hidden(int fd);
/* open("/proc/self/fd/N", flags), also inside a chroot without /proc once host_fd_init() has seen it. */
int host_fd_reopen(int fd, int flags);
/* The same for a descriptor of gmem's own, which the program's soft limit must not refuse. */
int host_fd_reopen_own(int fd, int flags);
/* Any system call that makes such a descriptor. */
long host_fd_own(long nr, long a, long b, long c, long d);
/*
 * Both at once: made and hidden.  In between, gmem's descriptor stands at a low number, where
 * a thread of the program that uses a number which it has closed may meet it.  Who acts
 * on a number that may be such: seen = host_fd_flux(), act, and if host_fd_flux_since(seen)
 * the number may have been gmem's meanwhile.
 */
int host_fd_own_hidden(long nr, long a, long b, long c, long d);
int host_fd_reopen_hidden(int fd, int flags);
void host_fd_flux_begin(void);
void host_fd_flux_end(void);
u32 host_fd_flux(void);
bool host_fd_flux_since(u32 seen);
/* In a forked child. */
void host_fd_forked(void);
/* Remember /proc; called once per process image. */
void host_fd_init(void);

#endif
