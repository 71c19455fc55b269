/* SPDX-License-Identifier: MIT */
/*
 * device/eventfd.h - the program's eventfds
 */
#ifndef GMEM_DEVICE_EVENTFD_H
#define GMEM_DEVICE_EVENTFD_H

#include "rt/types.h"

/*
 * The eventfd behind a descriptor: its identity, which descriptors that are
 * duplicates of each other share.  -EBADF, -EINVAL when it is none.
 */
int eventfd_identify(u32 fd, u64 *id);
/* A hidden duplicate, to be closed with host_fd_close(). */
int eventfd_hold(u32 fd);
/* Add one. */
void eventfd_signal(int fd);
/* Take what is there: false when nothing was. */
bool eventfd_take(int fd);

#endif
