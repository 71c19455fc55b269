/* SPDX-License-Identifier: MIT */
/*
 * tests/device_call.h - ioctls on objects of device/ in this process, by descriptor, as the overlay makes them
 */
#ifndef GMEM_TESTS_DEVICE_CALL_H
#define GMEM_TESTS_DEVICE_CALL_H

#include <errno.h>

#include "device/device.h"
#include "host/fd.h"

/* The object behind fd, with a reference; NULL when there is none. */
static inline struct dev_object *device_object(int fd)
{
	struct host_ident id;

	return host_ident_of(fd, &id) ? NULL : dev_find(id);
}

/* What the ioctl answers, and in *err the rule that refused; EBADF when there is no object behind fd. */
static inline long device_request(int fd, u32 cmd, u64 arg, struct core_err *err)
{
	struct dev_object *obj = device_object(fd);
	long ret;

	*err = (struct core_err){ .rule = RULE_NONE };
	if (!obj)
		return -EBADF;
	ret = dev_ioctl(obj, cmd, arg, err);
	dev_put(obj);
	return ret;
}

static inline long device_call(int fd, u32 cmd, const void *arg)
{
	struct core_err err;

	return device_request(fd, cmd, (u64)(uintptr_t)arg, &err);
}

#endif
