/* SPDX-License-Identifier: MIT */
/*
 * device/internal.h - shared by the files of this folder only
 */
#ifndef GMEM_DEVICE_INTERNAL_H
#define GMEM_DEVICE_INTERNAL_H

#include "device/device.h"
#include "rt/lock.h"

/* Guards memslots, bindings and per-VM attributes of all VMs; taken before dev_lock. */
extern struct rt_lock dev_slots_lock;
/* Guards the table of objects and the reference counts. */
extern struct rt_lock dev_lock;
extern struct dev_config dev_config;
extern const struct core_mem dev_mem;

/* Zeroed memory of a kind; it goes back with dev_object_free(). */
struct dev_object *dev_object_new(enum dev_kind kind);
void dev_object_free(struct dev_object *obj);
/* Enter into the table, with dev_lock held. */
void dev_object_publish(struct dev_object *obj);

static inline struct dev_vm *dev_to_vm(struct dev_object *obj)
{
	return RT_CONTAINER_OF(obj, struct dev_vm, obj);
}

static inline struct dev_gmem *dev_to_gmem(struct dev_object *obj)
{
	return RT_CONTAINER_OF(obj, struct dev_gmem, obj);
}

/* Parts of dev_reap(), with dev_lock held. */
bool dev_gmem_unused(struct dev_gmem *g);
void dev_gmem_destroy(struct dev_gmem *g);
void dev_vm_destroy(struct dev_vm *vm);

/* Handlers: device/ioctl.def says which and with what argument copied in. */
typedef long dev_handler(struct dev_object *obj, u64 arg, void *copy, struct core_err *err);
#define IOCTL(kind, name, copy, gate, handler) dev_handler handler;
#include "device/ioctl.def"
#undef IOCTL

/* Whether a descriptor number is free: 0, -EMFILE or -ENFILE. */
int dev_fd_available(void);
u64 dev_tsc_khz(void);

#endif
