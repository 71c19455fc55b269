// SPDX-License-Identifier: MIT
/*
 * device/gmem.c - guest_memfd files: creation, conversion, fallocate, mmap
 *
 * A conversion to private runs in this order (the file lock is held from 2 to 5):
 *  1. validation of the copied argument; nothing is locked, nothing is written back;
 *  2. nothing to do, out of memory, or a pinned page: answered before any mapping is touched;
 *  3. host/ marks the pages in transition and denies them in every view;
 *  4. the new states are recorded: from here on the pages are private;
 *  5. the transition ends; whoever touched a page meanwhile now learns its state.
 * To shared runs the same way with "allow" in step 3 and cannot meet a pin.
 */
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "device/internal.h"
#include "device/world.h"
#include "host/fd.h"
#include "rt/clock.h"
#include "rt/self.h"
#include "rt/string.h"
#include "rt/syscall.h"
#include "rt/user.h"

static void touch_mtime(struct dev_gmem *g)
{
	g->mtime = rt_clock_coarse();
}

/* Fill in everything but the descriptors; called before the object is published. */
static void gmem_setup(struct dev_gmem *g, struct dev_vm *vm)
{
	g->obj.kind = DEV_GMEM;
	g->vm = vm;
	g->host.owner = g;
	g->lease = F_UNLCK;
	touch_mtime(g);
	g->ctime = g->mtime;
	g->uid = (u32)rt_syscall_raw(__NR_geteuid, 0, 0, 0, 0, 0, 0);
	g->gid = (u32)rt_syscall_raw(__NR_getegid, 0, 0, 0, 0, 0, 0);
}

static u64 next_file_id(void)
{
	static _Atomic u64 last;

	return ++last;
}

static void gmem_publish(struct dev_gmem *g)
{
	rt_lock(&dev_lock);
	g->vm->obj.refs++;
	dev_object_publish(&g->obj);
	rt_unlock(&dev_lock);
}

static void gmem_discard(struct dev_gmem *g)
{
	rt_lock(&dev_lock);
	g->obj.kind = DEV_GMEM;
	dev_object_free(&g->obj);
	rt_unlock(&dev_lock);
}

static void gmem_undo(struct dev_gmem *g)
{
	core_file_fini(&g->core);
	host_file_fini(&g->host);
	rt_lock(&dev_lock);
	g->vm->obj.refs--;
	rt_unlock(&dev_lock);
	gmem_discard(g);
}

static long create_gmem(struct dev_vm *vm, const struct kvm_create_guest_memfd *args)
{
	struct dev_gmem *g = (struct dev_gmem *)dev_object_new(DEV_GMEM);
	int ret;

	if (!g)
		return -ENOMEM;
	ret = host_object_make(&g->obj.host, "[kvm-gmem]", 0);
	if (ret == 0)
		ret = host_file_init(&g->host, args->size, g->obj.host.keep);
	if (ret < 0) {
		gmem_discard(g);
		return ret;
	}
	core_file_init(&g->core, &vm->core, args, g->host.window);
	g->host.store = g->core.store;
	g->host.id = next_file_id();
	host_watch_add(g->host.backing);
	gmem_setup(g, vm);
	rt_lock(&dev_lock);
	vm->obj.refs++;
	rt_unlock(&dev_lock);
	/* Nobody can ask the broker for it before it has been handed out. */
	if (dev_config.file_created && !dev_config.file_created(g)) {
		gmem_undo(g);
		return -ENOMEM;
	}
	/* As in the kernel, no close-on-exec. */
	return dev_object_hand_out(&g->obj, O_RDWR);
}

long dev_vm_create_gmem(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	int ret;

	dev_reap();
	ret = core_file_check(&vm->core, copy, err);
	return ret < 0 ? ret : create_gmem(vm, copy);
}

bool dev_gmem_unused(struct dev_gmem *g)
{
	return !host_file_in_use(&g->host);
}

/* With dev_slots_lock and dev_lock held: severs the bindings, frees the contents, lets the VM go. */
void dev_gmem_destroy(struct dev_gmem *g)
{
	bool bound = g->core.nr_bound != 0;

	if (dev_config.file_gone)
		dev_config.file_gone(g);
	/* What is not bound no vCPU reaches. */
	if (bound)
		world_stop(g->vm);
	core_file_fini(&g->core);
	host_file_fini(&g->host);
	if (bound)
		world_resume(g->vm, true);
	g->vm->obj.refs--;
}

static void record_conversion(struct dev_gmem *g, struct rt_pages range)
{
	struct dev_conversion *c;

	if (!dev_config.keep_history)
		return;
	c = &g->history[g->nr_conversions % DEV_HISTORY];

	c->range = range;
	c->pid = (s32)rt_self_pid();
	c->tid = (s32)rt_gettid();
	g->nr_conversions++;
}

bool dev_gmem_converted_by(const struct dev_gmem *g, u64 page, struct dev_conversion *ret)
{
	u32 n = g->nr_conversions < DEV_HISTORY ? g->nr_conversions : DEV_HISTORY;

	for (u32 i = 1; i <= n; i++) {
		const struct dev_conversion *c = &g->history[(g->nr_conversions - i) % DEV_HISTORY];

		if (page - c->range.first < c->range.count) {
			*ret = *c;
			return true;
		}
	}
	return false;
}

/* Another process holds on to the range; told is the lowest page that it can still see. */
static int still_visible(const struct core_file *file, struct rt_pages range, u64 *error_offset, struct core_err *err)
{
	bool is_private;
	u64 run = core_store_run(&file->store, range.first, range.count, &is_private);
	u64 page = is_private && run < range.count ? range.first + run : range.first;

	*error_offset = page << RT_PAGE_SHIFT;
	return core_refuse(err, RULE_CONVERT_PINNED, 0, "offset", *error_offset, 0);
}

/* Steps 2 to 5 with the file lock held. */
static int convert_locked(struct dev_gmem *g, struct rt_pages range, bool to_private, u64 *error_offset,
			  struct core_err *err)
{
	int ret = core_convert_begin(&g->core, range, to_private, error_offset, err);

	if (ret != 0)
		return ret < 0 ? ret : 0;
	ret = host_convert_begin(&g->host, range, to_private);
	if (ret == -EAGAIN)
		return still_visible(&g->core, range, error_offset, err);
	if (ret < 0) {
		/* Host mappings may be gone, as after the kernel's own failures; they come back on the next touch. */
		*error_offset = range.first << RT_PAGE_SHIFT;
		return core_refuse(err, RULE_CONVERT_MEMORY, 0, "offset", *error_offset, 0);
	}
	core_convert_commit(&g->core, range, to_private);
	host_convert_end(&g->host, range, to_private);
	if (to_private)
		record_conversion(g, range);
	return 0;
}

long dev_gmem_set_attributes2(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_gmem *g = dev_to_gmem(obj);
	struct kvm_memory_attributes2 *args = copy;
	u64 error_offset = args->error_offset;
	struct rt_pages range;
	int ret = core_convert_check(&g->core, args, err);

	if (ret < 0)
		return ret;
	range.first = args->offset >> RT_PAGE_SHIFT;
	range.count = args->size >> RT_PAGE_SHIFT;
	ret = host_file_lock(&g->host);
	if (ret == 0) {
		ret = convert_locked(g, range, args->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE, &error_offset, err);
		host_file_unlock(&g->host);
	} else {
		ret = still_visible(&g->core, range, &error_offset, err);
	}
	args->error_offset = error_offset;
	/* Only now, and only on failure, does the caller's struct change; a copy that fails hides the reason. */
	if (ret < 0 && dev_copy_out(arg, args, sizeof(*args), err) < 0)
		return -EFAULT;
	return ret;
}

long dev_gmem_fallocate(struct dev_gmem *g, int mode, s64 off, s64 len, struct core_err *err)
{
	struct core_fallocate_plan plan;
	long ret = core_fallocate_check(&g->core, mode, off, len, &plan, err);

	if (ret < 0)
		return ret;
	/* What the kernel says when it did not come to an end; the caller tries again. */
	if (host_file_lock(&g->host))
		return -EINTR;
	if (plan.op == CORE_FALLOCATE_PUNCH)
		ret = host_file_punch(&g->host, plan.range);
	else if (plan.op == CORE_FALLOCATE_ALLOCATE)
		ret = host_file_allocate(&g->host, plan.range);
	host_file_unlock(&g->host);
	if (ret == 0)
		touch_mtime(g);
	return ret;
}

/*
 * The kernel looks for the place before it asks the file: a refusal of the place comes first, and the file's own
 * comes when what lay there has been unmapped.
 */
static int refuse_mmap(void *addr, u64 len, int flags, int ret, struct core_err *err)
{
	const int fixed = MAP_FIXED | MAP_FIXED_NOREPLACE;
	long at;

	if (!(flags & fixed) || err->rule == RULE_MMAP_OFFSET_ALIGN || err->rule == RULE_MMAP_HUGETLB ||
	    err->rule == RULE_MMAP_LENGTH || err->rule == RULE_MMAP_SPACE)
		return ret;
	at = rt_syscall(__NR_mmap, addr, len, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (!rt_is_err(at))
		rt_munmap((void *)at, len);
	if (rt_is_err(at) && (at != -EEXIST || (flags & MAP_FIXED_NOREPLACE))) {
		err->rule = RULE_NONE;
		return (int)at;
	}
	if (at == -EEXIST && (err->rule == RULE_MMAP_FLAG || err->rule == RULE_MMAP_SHARED))
		host_munmap(addr, len);
	return ret;
}

long dev_gmem_mmap(struct dev_gmem *g, void *addr, u64 len, int prot, int flags, s64 off, struct core_err *err)
{
	int ret = core_mmap_check(&g->core, len, prot, flags, off, err);
	long mapped;

	dev_reap();
	if (ret < 0)
		return refuse_mmap(addr, len, flags, ret, err);
	/* No conversion, here or in another process, between looking at the states and mapping. */
	mapped = host_file_lock(&g->host);
	if (mapped)
		return mapped;
	mapped = host_view_map(&g->host, addr, len, prot, flags, (u64)off);
	host_file_unlock(&g->host);
	return mapped;
}

long dev_gmem_pin(struct dev_gmem *g, u64 offset, bool pin)
{
	u64 page = offset >> RT_PAGE_SHIFT;
	long ret;

	ret = host_file_lock(&g->host);
	if (ret)
		return ret;
	ret = pin ? core_file_pin(&g->core, page) : core_file_unpin(&g->core, page);
	host_file_unlock(&g->host);
	return ret;
}

long dev_gmem_poison(struct dev_gmem *g, u64 offset, bool on)
{
	long ret;

	if (offset >= g->core.size)
		return -EINVAL;
	rt_lock(&dev_slots_lock);
	world_stop(g->vm);
	ret = host_file_lock(&g->host);
	if (ret == 0) {
		ret = host_poison(&g->host, offset >> RT_PAGE_SHIFT);
		host_file_unlock(&g->host);
	}
	world_resume(g->vm, ret == 0);
	rt_unlock(&dev_slots_lock);
	return ret;
}

/* The VM of an adopted file: nobody here can call its ioctls, but the file asks it for its type. */
static struct dev_vm *foreign_vm(unsigned type)
{
	struct dev_vm *vm = (struct dev_vm *)dev_object_new(DEV_VM);

	if (!vm)
		return NULL;
	vm->obj.kind = DEV_VM;
	if (core_vm_init(&vm->core, &dev_config.sys, &dev_mem, type) < 0) {
		rt_lock(&dev_lock);
		dev_object_free(&vm->obj);
		rt_unlock(&dev_lock);
		return NULL;
	}
	rt_lock(&dev_lock);
	dev_object_publish(&vm->obj);
	rt_unlock(&dev_lock);
	return vm;
}

struct dev_gmem *dev_gmem_adopt(int placeholder, int backing, int state, u64 size, u64 flags, unsigned vm_type, u64 id)
{
	struct kvm_create_guest_memfd args = { .size = size, .flags = flags };
	struct dev_gmem *g = (struct dev_gmem *)dev_object_new(DEV_GMEM);
	struct dev_vm *vm = g ? foreign_vm(vm_type) : NULL;

	if (!vm || host_object_adopt(&g->obj.host, placeholder) < 0 ||
	    host_file_adopt(&g->host, size, backing, state, g->obj.host.keep) < 0) {
		if (g)
			gmem_discard(g);
		host_fd_close(backing);
		host_fd_close(state);
		host_fd_close(placeholder);
		return NULL;
	}
	host_fd_close(placeholder);
	core_file_attach(&g->core, &vm->core, &args, g->host.window);
	g->host.store = g->core.store;
	g->host.id = id;
	gmem_setup(g, vm);
	gmem_publish(g);
	return g;
}
