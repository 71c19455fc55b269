// SPDX-License-Identifier: MIT
/*
 * tests/unit_attributes.c - KVM_SET_MEMORY_ATTRIBUTES on a VM
 */
#include <errno.h>

#include "core/vm.h"
#include "tests/core_mem.h"
#include "tests/tap.h"

#define PG	4096ULL
#define PRIVATE 8ULL
#define TOP_GFN (1ULL << 52)

struct world {
	struct core_sys sys;
	struct core_vm vm;
	struct core_err err;
};

static void world_init(struct world *w, const char *profile, int param, unsigned type)
{
	const struct core_profile *p = core_profile_find(profile);

	if (core_sys_init(&w->sys, p, &core_shape_mainline, p->known_vm_types, param) < 0 ||
	    core_vm_init(&w->vm, &w->sys, &test_mem, type) < 0)
		abort();
}

static int set(struct world *w, u64 address, u64 size, u64 attributes)
{
	const struct kvm_memory_attributes args = { address, size, attributes, 0 };

	return core_vm_set_attributes(&w->vm, &args, &w->err);
}

/* Violations, in the order of the checks. */
enum { FLAGS = 1, MASK = 2, SIZE = 4, WRAP = 8, ALIGN_ADDRESS = 16, ALIGN_SIZE = 32, ALL = 63 };

static struct kvm_memory_attributes violate(unsigned v)
{
	struct kvm_memory_attributes args = { 16 * PG, 2 * PG, PRIVATE, 0 };

	if (v & FLAGS)
		args.flags = 1;
	if (v & MASK)
		args.attributes |= 1;
	if (v & WRAP)
		args.address = 0 - PG;
	if (v & ALIGN_ADDRESS)
		args.address += 1;
	if (v & ALIGN_SIZE)
		args.size += 1;
	if (v & SIZE)
		args.size = 0;
	return args;
}

static enum core_rule_id first_of(unsigned v)
{
	if (v & FLAGS)
		return RULE_ATTRS_FLAGS;
	if (v & MASK)
		return RULE_ATTRS_MASK;
	if (v & (SIZE | WRAP))
		return RULE_ATTRS_SIZE;
	return v ? RULE_ATTRS_ALIGN : RULE_NONE;
}

static void test_order(void)
{
	static const char *const profiles[] = { "linux-6.8", "linux-6.12", "linux-7.3", "linux-7.4-vm-attributes" };

	for (unsigned i = 0; i < RT_ARRAY_SIZE(profiles); i++) {
		unsigned wrong = 0;
		struct world w;

		world_init(&w, profiles[i], -1, KVM_X86_SW_PROTECTED_VM);
		for (unsigned v = 1; v <= ALL; v++) {
			struct kvm_memory_attributes args = violate(v);

			wrong += core_vm_set_attributes(&w.vm, &args, &w.err) != -EINVAL || w.err.rule != first_of(v);
		}
		is(wrong, 0, "%s: of any set of violations the first in order decides", profiles[i]);
		is(core_vm_attributes(&w.vm, 16), 0, "%s: and nothing has changed", profiles[i]);
		core_vm_fini(&w.vm);
	}
}

static void test_limits(void)
{
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM);
	is(set(&w, 0 - PG, PG, PRIVATE), -EINVAL, "a sum of exactly 2^64 counts as wrap");
	is(set(&w, 0 - 2 * PG, PG, PRIVATE), 0, "the last page but one is legal");
	is(core_vm_attributes(&w.vm, TOP_GFN - 2), PRIVATE, "and becomes private");
	is(set(&w, 1ULL << 60, PG, PRIVATE), 0, "an address beyond any guest's is legal");
	is(set(&w, 0, 0 - PG, PRIVATE), 0, "so is all but the last page at once");
	is(core_vm_attributes(&w.vm, 0), PRIVATE, "first page private");
	is(core_vm_attributes(&w.vm, TOP_GFN - 1), 0, "last page not");
	is(set(&w, 0, 0 - PG, 0), 0, "and back");
	is(core_vm_attributes(&w.vm, TOP_GFN - 2), 0, "shared again");
	is(set(&w, PG, PG, 4), -EINVAL, "reserved bits are refused");
	is(w.err.rule, RULE_ATTRS_MASK, "by the mask");
	ok(w.err.value == 4 && w.err.expected == PRIVATE, "which is told");
	core_vm_fini(&w.vm);
}

/* Which VMs have the ioctl, and what they take: kernel-abi 2.1 and 6.1, in-place-conversion 1.5. */
static void test_who(void)
{
	static const struct {
		const char *profile;
		int param;
		unsigned type;
		bool has;
		int set_private, set_shared;
	} rows[] = {
		{ "linux-6.1", -1, 0, false, -EINVAL, 0 },
		{ "linux-6.8", -1, 0, true, -EINVAL, 0 },
		{ "linux-6.8", -1, 1, true, 0, 0 },
		{ "linux-6.12", -1, 0, true, -EINVAL, 0 },
		{ "linux-6.12", -1, 2, true, -EINVAL, 0 },
		{ "linux-6.12", -1, 4, true, 0, 0 },
		{ "linux-6.18", -1, 0, true, -EINVAL, 0 },
		{ "linux-6.18", -1, 1, true, 0, 0 },
		{ "linux-7.3", -1, 3, true, -EINVAL, 0 },
		{ "linux-7.3", -1, 5, true, 0, 0 },
		{ "linux-7.4", -1, 1, false, -EINVAL, 0 },
		{ "linux-7.4-vm-attributes", -1, 1, true, 0, 0 },
		{ "linux-7.4-vm-attributes", 0, 1, true, 0, 0 },
		{ "linux-7.4-vm-attributes", 1, 1, true, -EINVAL, 0 },
	};

	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++) {
		struct world w;

		world_init(&w, rows[i].profile, rows[i].param, rows[i].type);
		is(core_vm_has_attributes_ioctl(&w.vm), rows[i].has, "%s parameter %d type %u: ioctl", rows[i].profile,
		   rows[i].param, rows[i].type);
		is(set(&w, PG, PG, PRIVATE), rows[i].set_private, "%s parameter %d type %u: private", rows[i].profile,
		   rows[i].param, rows[i].type);
		is(set(&w, PG, PG, 0), rows[i].set_shared, "%s parameter %d type %u: shared", rows[i].profile,
		   rows[i].param, rows[i].type);
		core_vm_fini(&w.vm);
	}
	{
		struct core_shape shape = core_shape_mainline;
		struct world w;

		shape.private_mem = shape.sw_protected = false;
		if (core_sys_init(&w.sys, core_profile_find("linux-6.18"), &shape, 0, -1) < 0 ||
		    core_vm_init(&w.vm, &w.sys, &test_mem, 0) < 0)
			abort();
		ok(!core_vm_has_attributes_ioctl(&w.vm), "a build without private memory has no such ioctl");
		core_vm_fini(&w.vm);
	}
}

/* Against one flag per page. */
#define PAGES 200

static u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void test_random(void)
{
	unsigned wrong = 0, refused = 0, torn = 0;
	bool model[PAGES] = { false };
	u64 seed = 88172645463325252ULL;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM);
	for (unsigned round = 0; round < 20000; round++) {
		u64 first = next_random(&seed) % PAGES, count = 1 + next_random(&seed) % (PAGES - first);
		bool is_private = next_random(&seed) & 1;

		/* Mostly small ranges, or everything melts together. */
		if (round % 8)
			count = rt_min(count, 1 + round % 5);
		refused += set(&w, first * PG, count * PG, is_private ? PRIVATE : 0) != 0;
		for (u64 i = first; i < first + count; i++)
			model[i] = is_private;
		for (u64 i = PAGES, end = ~0ULL; i-- > 0;) {
			if (model[i] != (i + 1 < PAGES && model[i + 1]))
				end = i + 1;
			wrong += core_vm_attributes(&w.vm, i) != (model[i] ? PRIVATE : 0);
			torn += core_vm_attributes_end(&w.vm, i) != end;
		}
	}
	is(refused, 0, "20000 random requests are all granted");
	is(wrong, 0, "and after each of them every page is as in a plain array");
	is(torn, 0, "and so are all pages up to where that changes");
	core_vm_fini(&w.vm);
	is(mem_live, 0, "no memory is left");
}

/* Neighbours melt together: growing by single pages needs no more memory than one run. */
static void test_merge(void)
{
	struct world w;
	long before;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM);
	set(&w, 0, PG, PRIVATE);
	for (u64 i = 1; i < 1000; i++)
		set(&w, (i % 2 ? 1000 + i : 1000 - i) * PG, PG, PRIVATE);
	for (u64 i = 1; i < 2000; i++)
		set(&w, i * PG, PG, PRIVATE);
	set(&w, 0, 2000 * PG, PRIVATE);
	ok(core_vm_attributes(&w.vm, 0) && core_vm_attributes(&w.vm, 1999) && !core_vm_attributes(&w.vm, 2000),
	   "2000 pages set one by one are private");
	before = mem_live;
	for (u64 i = 0; i < 100000; i++)
		set(&w, (5000 + i) * PG, PG, PRIVATE);
	is(mem_live, before, "100000 pages in sequence take no memory of their own");
	for (u64 i = 100000; i-- > 0;)
		set(&w, (200000 + i) * PG, PG, PRIVATE);
	is(mem_live, before, "nor do they in reverse");
	core_vm_fini(&w.vm);
}

/* Every allocation fails once; the request changes nothing, or succeeds without having needed it. */
static void test_no_memory(void)
{
	unsigned failures = 0, wrong = 0;
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_SW_PROTECTED_VM);
	for (u64 i = 0; i < 100; i++) {
		mem_fail(1);
		if (set(&w, i * 2 * PG, PG, PRIVATE) == -ENOMEM) {
			failures++;
			wrong += w.err.rule != RULE_ATTRS_MEMORY || core_vm_attributes(&w.vm, i * 2) != 0;
			for (u64 k = 0; k < i; k++)
				wrong += core_vm_attributes(&w.vm, k * 2) != PRIVATE;
			mem_fail(0);
			wrong += set(&w, i * 2 * PG, PG, PRIVATE) != 0;
		}
		wrong += core_vm_attributes(&w.vm, i * 2) != PRIVATE;
	}
	mem_fail(0);
	ok(failures >= 4, "setting private ran out of memory %u times", failures);
	is(wrong, 0, "each time with ENOMEM and nothing changed");

	/* Clearing the middle of a run splits it, which needs memory where the list is full. */
	failures = wrong = 0;
	set(&w, 0, 10000 * PG, PRIVATE);
	for (u64 i = 0; i < 1000; i++) {
		mem_fail(1);
		if (set(&w, (2 * i + 1) * PG, PG, 0) == -ENOMEM) {
			failures++;
			wrong += core_vm_attributes(&w.vm, 2 * i + 1) != PRIVATE;
			mem_fail(0);
			wrong += set(&w, (2 * i + 1) * PG, PG, 0) != 0;
		}
		wrong += core_vm_attributes(&w.vm, 2 * i + 1) != 0 || core_vm_attributes(&w.vm, 2 * i + 2) != PRIVATE;
	}
	ok(failures >= 2, "clearing ran out of memory %u times", failures);
	is(wrong, 0, "each time with nothing changed");
	mem_fail(1);
	is(set(&w, 0, 10000 * PG, 0), 0, "clearing all needs none");
	mem_fail(0);
	core_vm_fini(&w.vm);
	is(mem_live, 0, "no memory is left");
}

/* The list is of runs that are not empty and do not touch: what has come and gone leaves nothing in it. */
static void test_economy(void)
{
	struct world w;

	world_init(&w, "linux-6.18", -1, KVM_X86_SW_PROTECTED_VM);
	mem_fail(0);
	for (u64 i = 0; i < 100; i++)
		set(&w, 0, (1 + i % 2) * PG, PRIVATE);
	is(mem_calls, 1, "the first frame, again and again, is one run");
	set(&w, 0, 2 * PG, 0);
	for (u64 i = 0; i < 100; i++) {
		set(&w, 4 * i * PG, PG, PRIVATE);
		set(&w, 4 * i * PG, PG, 0);
	}
	is(mem_calls, 1, "a run that is taken back from its beginning to its end leaves none");
	core_vm_fini(&w.vm);
	is(mem_live, 0, "no memory is left");
}

int main(void)
{
	test_order();
	test_limits();
	test_who();
	test_random();
	test_merge();
	test_no_memory();
	test_economy();
	return done_testing();
}
