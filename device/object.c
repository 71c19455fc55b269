// SPDX-License-Identifier: MIT
/*
 * device/object.c - the table of objects and their lifetime
 *
 * Invariants:
 *  1. An object is in the table from its publication until its destruction,
 *     both under dev_lock.
 *  2. It is destroyed only by dev_reap(), when refs is 0 and no descriptor or
 *     mapping outside gmem refers to its inodes (host_object_in_use()).
 *  3. A file holds a reference on its VM, a VM holds none on its files: a
 *     slot outlives the file that it was bound to (core_file_fini()).
 *  4. Memory of an object is never used for another kind: a pointer from the
 *     descriptor cache may be stale but stays readable, and dev_get() tells.
 */
#include <linux/fcntl.h>

#include "device/internal.h"
#include "device/real.h"
#include "device/thread.h"
#include "host/fd.h"
#include "host/peer.h"
#include "rt/alloc.h"
#include "rt/clock.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define BUCKETS 1024

struct rt_lock dev_slots_lock = RT_LOCK_INIT;
struct rt_lock dev_lock = RT_LOCK_INIT;
struct dev_config dev_config;
const struct core_mem dev_mem = { rt_alloc, rt_free };

static struct dev_object *table[BUCKETS];
static struct dev_object *free_objects[DEV_KINDS];
static unsigned counts[DEV_KINDS];
static struct dev_object system_object;
static _Atomic u64 objects_dev; /* st_dev of all of them, 0 before there is one */

static size_t object_size(enum dev_kind kind)
{
	if (kind == DEV_VCPU)
		return sizeof(struct dev_vcpu);
	return kind == DEV_GMEM ? sizeof(struct dev_gmem) : sizeof(struct dev_vm);
}

/* Offset of the embedded object in its container is 0 for every kind: dev_to_vm() and the free list rely on it. */
_Static_assert(offsetof(struct dev_vm, obj) == 0 && offsetof(struct dev_gmem, obj) == 0 &&
		       offsetof(struct dev_vcpu, obj) == 0,
	       "container");

struct dev_object *dev_object_new(enum dev_kind kind)
{
	struct dev_object *obj;

	rt_lock(&dev_lock);
	obj = free_objects[kind];
	if (obj)
		free_objects[kind] = obj->next;
	rt_unlock(&dev_lock);
	if (obj)
		memset(obj, 0, object_size(kind));
	else
		obj = rt_alloc(object_size(kind));
	if (obj)
		obj->host.keep = -1;
	return obj;
}

void dev_object_free(struct dev_object *obj)
{
	enum dev_kind kind = obj->kind;

	host_object_fini(&obj->host);
	obj->kind = DEV_NONE;
	obj->next = free_objects[kind];
	free_objects[kind] = obj;
}

static struct dev_object **bucket_of(struct host_ident id)
{
	return &table[(id.ino ^ id.dev) % BUCKETS];
}

void dev_object_publish(struct dev_object *obj)
{
	struct dev_object **bucket = bucket_of(obj->host.id);

	obj->next = *bucket;
	*bucket = obj;
	objects_dev = obj->host.id.dev;
	counts[obj->kind]++;
}

static void unpublish(struct dev_object *obj)
{
	struct dev_object **at = bucket_of(obj->host.id);

	while (*at != obj)
		at = &(*at)->next;
	*at = obj->next;
	counts[obj->kind]--;
}

struct dev_object *dev_find(struct host_ident id)
{
	struct dev_object *obj;

	rt_lock(&dev_lock);
	for (obj = *bucket_of(id); obj; obj = obj->next) {
		if (host_ident_equal(obj->host.id, id)) {
			obj->refs++;
			break;
		}
	}
	rt_unlock(&dev_lock);
	return obj;
}

bool dev_get(struct dev_object *obj, struct host_ident id)
{
	bool same;

	rt_lock(&dev_lock);
	same = obj->kind != DEV_NONE && host_ident_equal(obj->host.id, id);
	if (same)
		obj->refs++;
	rt_unlock(&dev_lock);
	return same;
}

void dev_put(struct dev_object *obj)
{
	rt_lock(&dev_lock);
	obj->refs--;
	rt_unlock(&dev_lock);
}

static bool unused(struct dev_object *obj)
{
	if (obj->refs || obj->kind == DEV_SYSTEM)
		return false;
	if (obj->kind == DEV_GMEM)
		return dev_gmem_unused(dev_to_gmem(obj));
	if (obj->kind == DEV_VCPU)
		return dev_vcpu_unused(dev_to_vcpu(obj));
	return obj->host.keep < 0 || !host_object_in_use(&obj->host);
}

static void destroy(struct dev_object *obj)
{
	unpublish(obj);
	/* Its memory is the VM's until that goes. */
	if (obj->kind == DEV_VCPU) {
		dev_vcpu_close(dev_to_vcpu(obj));
		return;
	}
	if (obj->kind == DEV_GMEM)
		dev_gmem_destroy(dev_to_gmem(obj));
	else
		dev_vm_destroy(dev_to_vm(obj));
	dev_object_free(obj);
}

static void reap_pass(enum dev_kind kind)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct dev_object *obj = table[i], *next;

		for (; obj; obj = next) {
			next = obj->next;
			if (obj->kind == kind && unused(obj))
				destroy(obj);
		}
	}
}

void dev_reap(void)
{
	if (!host_watch_fired())
		return;
	rt_lock(&dev_slots_lock);
	rt_lock(&dev_lock);
	/* VMs last: files and vCPUs hold them. */
	reap_pass(DEV_GMEM);
	reap_pass(DEV_VCPU);
	reap_pass(DEV_VM);
	rt_unlock(&dev_lock);
	rt_unlock(&dev_slots_lock);
}

static void for_each_file(void (*visit)(struct host_file *file))
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct dev_object *obj = table[i]; obj; obj = obj->next) {
			if (obj->kind == DEV_GMEM)
				visit(&dev_to_gmem(obj)->host);
		}
	}
}

void dev_fork_prepare(void)
{
	dev_tsc_fork();
	rt_lock(&dev_slots_lock);
	rt_lock(&dev_lock);
	/* The child may map, and convert, what it inherits. */
	for_each_file(host_peer_share);
}

void dev_fork_done(void)
{
	/* In the parent others may be waiting for them. */
	rt_unlock(&dev_lock);
	rt_unlock(&dev_slots_lock);
}

static void watch_file(struct host_file *file)
{
	host_watch_add(file->backing);
}

static void for_each_vm(void (*visit)(struct dev_vm *vm))
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct dev_object *obj = table[i]; obj; obj = obj->next) {
			if (obj->kind == DEV_VM)
				visit(dev_to_vm(obj));
		}
	}
}

static void vcpus_forked(struct dev_vm *vm)
{
	for (struct dev_vcpu *v = vm->vcpus; v; v = v->next)
		dev_vcpu_forked(v);
	dev_real_vm_destroy(vm);
}

void dev_forked_objects(void)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct dev_object *obj = table[i]; obj; obj = obj->next) {
			if (obj->host.keep >= 0)
				host_watch_add(obj->host.keep);
		}
	}
	for_each_file(watch_file);
	for_each_file(host_peer_forked);
	for_each_file(host_guest_forked);
	for_each_vm(vcpus_forked);
	dev_real_forked();
	dev_thread_forked();
}

static void leave(struct host_file *file)
{
	host_peer_leave(file, true);
}

static void come_back(struct host_file *file)
{
	host_peer_leave(file, false);
}

void dev_exec_leave(bool leaving)
{
	rt_lock(&dev_lock);
	for_each_file(leaving ? leave : come_back);
	rt_unlock(&dev_lock);
}

void dev_peers_called(void)
{
	rt_lock(&dev_lock);
	for_each_file(host_peer_called);
	rt_unlock(&dev_lock);
}

u64 dev_st_dev(void)
{
	return objects_dev;
}

unsigned dev_count(enum dev_kind kind)
{
	return counts[kind];
}

const struct core_sys *dev_sys(void)
{
	return &dev_config.sys;
}

int dev_init(const struct dev_config *config)
{
	dev_tsc_start();
	dev_config = *config;
	dev_thread_init();
	rt_clock_init();
	dev_forked();
	return config->real_cpu ? dev_real_init() : 0;
}

/* /dev/kvm is one inode however often it is opened; it comes into being at the first open. */
static int create_system(void)
{
	int fd = host_object_create(&system_object.host, "kvm", 0, true);

	if (fd < 0)
		return fd;
	rt_close(fd);
	system_object.kind = DEV_SYSTEM;
	rt_lock(&dev_lock);
	dev_object_publish(&system_object);
	rt_unlock(&dev_lock);
	return 0;
}

int dev_object_hand_out(struct dev_object *obj, int flags)
{
	int fd;

	rt_lock(&dev_lock);
	/* Not to be reaped for want of a descriptor. */
	obj->refs++;
	dev_object_publish(obj);
	rt_unlock(&dev_lock);
	fd = host_object_open(&obj->host, flags);
	rt_lock(&dev_slots_lock);
	rt_lock(&dev_lock);
	obj->refs--;
	if (fd < 0)
		destroy(obj);
	rt_unlock(&dev_lock);
	rt_unlock(&dev_slots_lock);
	return fd;
}

struct dev_object *dev_foreign(enum dev_kind kind, struct host_ident id)
{
	struct dev_object *obj = dev_object_new(kind);

	if (!obj)
		return NULL;
	obj->kind = kind;
	obj->host.id = id;
	rt_lock(&dev_lock);
	dev_object_publish(obj);
	rt_unlock(&dev_lock);
	return obj;
}

int dev_open(int flags)
{
	int ret = system_object.kind == DEV_SYSTEM ? 0 : create_system();

	/* A character device takes none of the flags that would change or create a file. */
	return ret < 0 ? ret : host_object_open(&system_object.host, flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW));
}

int dev_fd_available(void)
{
	int fd = host_object_open(&system_object.host, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		rt_close(fd);
	return fd < 0 ? fd : 0;
}
