/* SPDX-License-Identifier: MIT */
/*
 * device/eventfd.h - the program's eventfds
 */
#ifndef GMEM_DEVICE_EVENTFD_H
#define GMEM_DEVICE_EVENTFD_H

#include "rt/types.h"

/*
 * A hidden duplicate of the program's eventfd, to be closed with host_fd_close(),
 * and its identity, which descriptors that are duplicates of each other share.  -EBADF, -EINVAL when it
 * is none.  Takes dev_slots_lock.
 */
int eventfd_hold(u32 fd, u64 *id);
/* Whether a descriptor of the program in this process is that eventfd; true when that cannot be told. */
bool eventfd_is_open(u64 id);
/* Add one. */
void eventfd_signal(int fd);
/* Take what is there: false when nothing was. */
bool eventfd_take(int fd);

#endif
