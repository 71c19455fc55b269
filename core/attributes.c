// SPDX-License-Identifier: MIT
/*
 * core/attributes.c - KVM_SET_MEMORY_ATTRIBUTES: private or shared by guest frame
 *
 * One value per guest frame of the VM, whatever slots there are, up to gfn 2^52.
 * Kept as the list of private runs, sorted, with a gap between any two:
 * a request costs what is mixed, not what it covers.
 *
 * The kernel of today needs memory to record private pages only; here a clearing
 * that splits a run needs it as well, as in older kernels, and may answer ENOMEM.
 */
#include "core/attributes.h"

#include <asm/errno.h>

#include "core/array.h"
#include "rt/string.h"

/* Guest frames [first, end). */
struct run {
	u64 first, end;
};

struct core_attrs {
	struct run *runs;
	unsigned nr, cap;
};

int core_attrs_init(struct core_vm *vm)
{
	vm->attrs = vm->mem->alloc(sizeof(*vm->attrs));
	return vm->attrs ? 0 : -ENOMEM;
}

void core_attrs_fini(struct core_vm *vm)
{
	if (!vm->attrs)
		return;
	vm->mem->free(vm->attrs->runs, vm->attrs->cap * sizeof(*vm->attrs->runs));
	vm->mem->free(vm->attrs, sizeof(*vm->attrs));
	vm->attrs = NULL;
}

/* Index of the first run that ends above gfn; nr when there is none. */
static unsigned first_ending_above(const struct core_attrs *attrs, u64 gfn)
{
	unsigned low = 0, high = attrs->nr;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (attrs->runs[middle].end > gfn)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Put n runs in the place of [low, high): 0, or -ENOMEM with nothing changed. */
static int replace(const struct core_mem *mem, struct core_attrs *attrs, unsigned low, unsigned high,
		   const struct run *with, unsigned n)
{
	unsigned nr = attrs->nr - (high - low) + n;
	struct run *runs = core_array_grown(mem, attrs->runs, &attrs->cap, nr, sizeof(*runs));

	if (!runs && nr)
		return -ENOMEM;
	attrs->runs = runs;
	if (attrs->nr > high)
		memmove(&runs[low + n], &runs[high], (attrs->nr - high) * sizeof(*runs));
	for (unsigned i = 0; i < n; i++)
		runs[low + i] = with[i];
	attrs->nr = nr;
	return 0;
}

/* One run of the range and all that it meets or touches. */
static int set_private(const struct core_mem *mem, struct core_attrs *attrs, struct run range)
{
	/* A run that ends exactly where the range begins is a neighbour too. */
	unsigned low = first_ending_above(attrs, range.first ? range.first - 1 : 0), high = low;

	while (high < attrs->nr && attrs->runs[high].first <= range.end) {
		range.first = rt_min(range.first, attrs->runs[high].first);
		range.end = rt_max(range.end, attrs->runs[high].end);
		high++;
	}
	return replace(mem, attrs, low, high, &range, 1);
}

/* Runs that the range meets shrink to what stands out of it, at its two ends. */
static int set_shared(const struct core_mem *mem, struct core_attrs *attrs, struct run range)
{
	unsigned low = first_ending_above(attrs, range.first), high = low, n = 0;
	struct run left[2];

	while (high < attrs->nr && attrs->runs[high].first < range.end) {
		const struct run *run = &attrs->runs[high++];

		if (run->first < range.first)
			left[n++] = (struct run){ run->first, range.first };
		if (run->end > range.end)
			left[n++] = (struct run){ range.end, run->end };
	}
	return low == high ? 0 : replace(mem, attrs, low, high, left, n);
}

/* Without it the ioctl is unknown: no private memory in this build, or it is tracked by the files. */
bool core_vm_has_attributes_ioctl(const struct core_vm *vm)
{
	return vm->sys->profile->vm_attributes && vm->sys->shape.private_mem;
}

int core_vm_set_attributes(struct core_vm *vm, const struct kvm_memory_attributes *args, struct core_err *err)
{
	u64 legal = core_type_attributes(vm->sys, vm->type);
	struct run range;
	int ret;

	if (args->flags)
		return core_refuse(err, RULE_ATTRS_FLAGS, 0, "flags", args->flags, 0);
	if (args->attributes & ~legal)
		return core_refuse(err, RULE_ATTRS_MASK, 0, "attributes", args->attributes, legal);
	if (!args->size || rt_add_wraps(args->address, args->size))
		return core_refuse(err, RULE_ATTRS_SIZE, 0, "size", args->size, 0);
	if (!rt_page_aligned(args->address))
		return core_refuse(err, RULE_ATTRS_ALIGN, 0, "address", args->address, RT_PAGE_SIZE);
	if (!rt_page_aligned(args->size))
		return core_refuse(err, RULE_ATTRS_ALIGN, 0, "size", args->size, RT_PAGE_SIZE);

	range.first = args->address >> RT_PAGE_SHIFT;
	range.end = range.first + (args->size >> RT_PAGE_SHIFT);
	if (args->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE)
		ret = set_private(vm->mem, vm->attrs, range);
	else
		ret = set_shared(vm->mem, vm->attrs, range);
	return ret < 0 ? core_refuse(err, RULE_ATTRS_MEMORY, 0, "size", args->size, 0) : 0;
}

u64 core_vm_attributes(const struct core_vm *vm, u64 gfn)
{
	unsigned at = first_ending_above(vm->attrs, gfn);

	return at < vm->attrs->nr && vm->attrs->runs[at].first <= gfn ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
}

u64 core_vm_attributes_end(const struct core_vm *vm, u64 gfn)
{
	unsigned at = first_ending_above(vm->attrs, gfn);

	if (at == vm->attrs->nr)
		return ~0ULL;
	return vm->attrs->runs[at].first <= gfn ? vm->attrs->runs[at].end : vm->attrs->runs[at].first;
}
