// SPDX-License-Identifier: MIT
/*
 * tests/unit_memslot_order.c - the order of checks of memory regions (kernel-abi 5.1, 5.2, 5.4, 5.5)
 *
 * A request is built from a set of violations.  Every set is tried, so every
 * pair of checks, adjacent or not, is violated together; the first in the
 * specification's order must answer, and nothing may change.
 */
#include <string.h>

#include "tests/memslot_world.h"

/* In the order until 7.3.1. */
enum violation {
	V1,	    /* KVM_MEM_GUEST_MEMFD in the first version's structure */
	ID,	    /* slot id 32764 */
	FLAGS,	    /* logging of a slot with a file */
	SIZE_ALIGN, /* one byte too much */
	GPA_ALIGN,
	HVA_ALIGN,
	HVA_END,     /* ends one page above user addresses */
	OFFSET_ALIGN,
	SPACE,	     /* second address space of a VM that has one */
	WRAP,	     /* guest range ends at 2^64 */
	PAGES,	     /* 2^31 pages and a few */
	IMMUTABLE,   /* the slot exists */
	OVERLAP,     /* another slot has the addresses */
	MEMORY,	     /* none for the slot */
	FD,
	KIND,
	VM,
	OFFSET_SIGN, /* bit 63 */
	END,	     /* beyond the end of the file */
	CONFLICT,    /* bound by another slot */
	LIMIT,	     /* beyond 48 bits */
	NR_VIOLATIONS
};

static const struct {
	enum core_rule_id rule;
	int error;
} answers[NR_VIOLATIONS] = {
	[V1] = { RULE_SLOT_V1_FLAGS, EINVAL },	     [ID] = { RULE_SLOT_ID, EINVAL },
	[FLAGS] = { RULE_SLOT_FLAGS, EINVAL },	     [SIZE_ALIGN] = { RULE_SLOT_SIZE_ALIGN, EINVAL },
	[GPA_ALIGN] = { RULE_SLOT_GPA_ALIGN, EINVAL }, [HVA_ALIGN] = { RULE_SLOT_HVA, EINVAL },
	[HVA_END] = { RULE_SLOT_HVA, EINVAL },	     [OFFSET_ALIGN] = { RULE_SLOT_OFFSET, EINVAL },
	[SPACE] = { RULE_SLOT_SPACE, EINVAL },	     [WRAP] = { RULE_SLOT_GPA_WRAP, EINVAL },
	[PAGES] = { RULE_SLOT_PAGES, EINVAL },	     [IMMUTABLE] = { RULE_SLOT_IMMUTABLE, EINVAL },
	[OVERLAP] = { RULE_SLOT_GPA_OVERLAP, EEXIST }, [MEMORY] = { RULE_SLOT_MEMORY, ENOMEM },
	[FD] = { RULE_BIND_FD, EBADF },		     [KIND] = { RULE_BIND_KIND, EINVAL },
	[VM] = { RULE_BIND_VM, EINVAL },	     [OFFSET_SIGN] = { RULE_BIND_OFFSET, EINVAL },
	[END] = { RULE_BIND_SIZE, EINVAL },	     [CONFLICT] = { RULE_BIND_CONFLICT, EEXIST },
	[LIMIT] = { RULE_SLOT_GPA_LIMIT, EINVAL },
};

#define BIT(v) (1U << (v))
#define BASE_GPA 0x100000ULL

/* What stands in the world already. */
enum { SLOT_EXISTING = 7, SLOT_HIGH, SLOT_TAIL, SLOT_NEW = 1 };

static void prepare(struct world *w, const char *profile)
{
	world_init(w, profile, -1, KVM_X86_SW_PROTECTED_VM, 0);
	if (set_plain(w, SLOT_EXISTING, 0, 0x40000000, PG, HVA) < 0 ||
	    set_gmem(w, SLOT_HIGH, GPA_LIMIT - 2 * PG, 2 * PG, FD_FILE, 8 * PG) < 0 ||
	    set_gmem(w, SLOT_TAIL, 0x50000000, PG, FD_FILE, 15 * PG) < 0)
		abort();
}

static struct kvm_userspace_memory_region2 build(unsigned set)
{
	struct kvm_userspace_memory_region2 r = { .slot = SLOT_NEW, .flags = KVM_MEM_GUEST_MEMFD, .memory_size = 2 * PG,
						  .guest_phys_addr = BASE_GPA, .userspace_addr = HVA,
						  .guest_memfd = FD_FILE };

	if (set & BIT(IMMUTABLE))
		r.slot = SLOT_EXISTING;
	if (set & BIT(ID))
		r.slot = 32764;
	if (set & BIT(SPACE))
		r.slot |= 1 << 16;
	if (set & BIT(FLAGS))
		r.flags |= KVM_MEM_LOG_DIRTY_PAGES;

	if (set & BIT(PAGES))
		r.memory_size += 1ULL << 43;
	if (set & BIT(SIZE_ALIGN))
		r.memory_size += 1;

	if (set & BIT(OVERLAP))
		r.guest_phys_addr = GPA_LIMIT - (set & BIT(LIMIT) ? PG : 2 * PG);
	else if (set & BIT(LIMIT))
		r.guest_phys_addr = GPA_LIMIT;
	if (set & BIT(WRAP))
		r.guest_phys_addr = 0 - 2 * PG;
	if (set & BIT(GPA_ALIGN))
		r.guest_phys_addr += 1;

	if (set & BIT(HVA_END))
		r.userspace_addr = HVA_LIMIT - PG;
	if (set & BIT(HVA_ALIGN))
		r.userspace_addr += 1;

	if (set & BIT(CONFLICT))
		r.guest_memfd_offset = (set & BIT(END) ? 15 : 9) * PG;
	else if (set & BIT(END))
		r.guest_memfd_offset = 16 * PG;
	if (set & BIT(OFFSET_SIGN))
		r.guest_memfd_offset |= 1ULL << 63;
	if (set & BIT(OFFSET_ALIGN))
		r.guest_memfd_offset += 1;

	if (set & BIT(VM))
		r.guest_memfd = FD_FOREIGN;
	if (set & BIT(KIND))
		r.guest_memfd = FD_NOT_GMEM;
	if (set & BIT(FD))
		r.guest_memfd = FD_CLOSED;
	return r;
}

/* What differs between generations. */
struct generation {
	const char *profile;
	bool late;	   /* LIMIT before CONFLICT */
	bool unsigned_sum; /* OFFSET_SIGN is found as END */
	bool old_errno;	   /* EINVAL for CONFLICT */
	bool hva_end;	   /* HVA_END is refused */
};

static const struct generation generations[] = {
	{ "linux-6.8", false, false, true, false },
	{ "linux-6.12", false, true, true, true },
	{ "linux-6.18", false, false, true, true },
	{ "linux-7.3", true, true, false, true },
	{ "linux-7.4", true, true, false, true },
	{ "linux-7.4-vm-attributes", true, true, false, true },
};

static enum violation first_of(const struct generation *g, unsigned set)
{
	enum violation first = (enum violation)__builtin_ctz(set);

	return g->late && first == CONFLICT && (set & BIT(LIMIT)) ? LIMIT : first;
}

static bool answered_right(const struct generation *g, const struct world *w, int ret, enum violation v)
{
	enum core_rule_id rule = answers[v].rule;
	int error = answers[v].error;

	if (v == OFFSET_SIGN && g->unsigned_sum)
		rule = RULE_BIND_SIZE;
	if (v == CONFLICT && g->old_errno)
		error = EINVAL;
	return ret == -error && w->err.rule == rule && w->err.error == error && w->err.object;
}

static bool unchanged(const struct world *w)
{
	return w->file.nr_bound == 2 && w->foreign.nr_bound == 0 && !core_memslot_by_id(&w->vm, SLOT_NEW) &&
	       !core_memslot_by_gpa(&w->vm, 0, BASE_GPA) && core_memslot_by_id(&w->vm, SLOT_EXISTING)->size == PG &&
	       core_memslot_by_gpa(&w->vm, 0, GPA_LIMIT - PG) == core_memslot_by_id(&w->vm, SLOT_HIGH) &&
	       w->effect.change == CORE_SLOT_NONE;
}

static void test_create(const struct generation *g)
{
	unsigned wrong[NR_VIOLATIONS] = { 0 }, changed = 0, looked = 0;
	struct world w;

	prepare(&w, g->profile);
	for (unsigned set = 1; set < BIT(NR_VIOLATIONS); set++) {
		struct kvm_userspace_memory_region2 r;
		enum violation first;
		int ret;

		if ((set & BIT(HVA_END)) && !g->hva_end)
			continue;
		first = first_of(g, set);
		r = build(set);
		w.lookups = 0;
		mem_fail(set & BIT(MEMORY) ? 1 : 0);
		ret = world_set(&w, set & BIT(V1) ? 1 : 2, &r);
		wrong[first] += !answered_right(g, &w, ret, first);
		changed += !unchanged(&w);
		/* SLOT-4, and that no check before the descriptor's needs it. */
		looked += w.lookups != (first >= FD);
	}
	mem_fail(0);
	for (unsigned v = 0; v < NR_VIOLATIONS; v++)
		if (v != HVA_END || g->hva_end)
			is(wrong[v], 0, "%s: %s (%u) answers before all that come later", g->profile,
			   core_rules[answers[v].rule].slug, v);
	is(changed, 0, "%s: no refused request changes anything", g->profile);
	is(looked, 0, "%s: the descriptor is looked at exactly where its turn comes", g->profile);
	{
		struct kvm_userspace_memory_region2 r = build(0);

		is(world_set(&w, 2, &r), 0, "%s: without violation the request is granted", g->profile);
	}
	is(world_fini(&w), 0, "%s: no memory is left", g->profile);
}

/* Checks 4 to 11 hold for deletion too; whatever comes after them is not looked at. */
static void test_delete(const struct generation *g)
{
	const unsigned early = BIT(V1) | BIT(ID) | BIT(FLAGS) | BIT(GPA_ALIGN) | BIT(HVA_ALIGN) | BIT(OFFSET_ALIGN) |
			       BIT(SPACE);
	const unsigned ignored = BIT(IMMUTABLE) | BIT(OVERLAP) | BIT(FD) | BIT(OFFSET_SIGN) | BIT(LIMIT);
	unsigned wrong = 0, refused = 0, looked = 0;
	struct world w;

	prepare(&w, g->profile);
	for (unsigned set = 1; set < BIT(NR_VIOLATIONS); set++) {
		struct kvm_userspace_memory_region2 r;
		int ret;

		if (set & ~(early | ignored) || !(set & BIT(IMMUTABLE)))
			continue;
		r = build(set);
		r.memory_size = 0;
		w.lookups = 0;
		ret = world_set(&w, set & BIT(V1) ? 1 : 2, &r);
		looked += w.lookups;
		if (set & early) {
			wrong += !answered_right(g, &w, ret, (enum violation)__builtin_ctz(set & early));
			continue;
		}
		refused += ret != 0 || w.effect.change != CORE_SLOT_DELETE;
		if (set_plain(&w, SLOT_EXISTING, 0, 0x40000000, PG, HVA) < 0)
			abort();
	}
	is(wrong, 0, "%s: deletion is checked in the same order", g->profile);
	is(refused, 0, "%s: and goes through whatever else is wrong", g->profile);
	is(looked, 0, "%s: without a look at the descriptor", g->profile);
	is(world_fini(&w), 0, "%s: no memory is left", g->profile);
}

/* Plain slots, the only ones of 6.1: the same order without the file's checks. */
static void test_plain(const char *profile)
{
	const unsigned usable = BIT(ID) | BIT(SIZE_ALIGN) | BIT(GPA_ALIGN) | BIT(HVA_ALIGN) | BIT(HVA_END) | BIT(SPACE) |
				BIT(WRAP) | BIT(PAGES) | BIT(OVERLAP) | BIT(MEMORY) | BIT(LIMIT);
	const struct generation any = { .profile = profile };
	unsigned wrong = 0;
	struct world w;

	world_init(&w, profile, -1, KVM_X86_DEFAULT_VM, 0);
	if (set_plain(&w, SLOT_HIGH, 0, GPA_LIMIT - 2 * PG, 2 * PG, HVA) < 0)
		abort();
	for (unsigned set = 1; set < BIT(NR_VIOLATIONS); set++) {
		struct kvm_userspace_memory_region2 r;
		int ret;

		if (set & ~usable)
			continue;
		r = build(set);
		r.flags = 0;
		/* A default VM has two address spaces. */
		if (set & BIT(SPACE))
			r.slot |= 2 << 16;
		mem_fail(set & BIT(MEMORY) ? 1 : 0);
		ret = world_set(&w, 1, &r);
		wrong += !answered_right(&any, &w, ret, (enum violation)__builtin_ctz(set));
	}
	mem_fail(0);
	is(wrong, 0, "%s: plain slots, every set of violations", profile);
	is(world_fini(&w), 0, "%s: no memory is left", profile);
}

/* 5.3: an existing plain slot; its immutable fields are tested before its new place is. */
static void test_modify(void)
{
	struct world w;

	world_init(&w, "linux-7.3", -1, KVM_X86_DEFAULT_VM, 0);
	set_plain(&w, 1, 0, 0x100000, PG, HVA);
	set_plain(&w, 2, 0, 0x200000, PG, HVA);
	is(set_plain(&w, 1, 0, 0x200000, PG, HVA + PG), -EINVAL, "another userspace_addr and an overlap");
	is(w.err.rule, RULE_SLOT_MODIFY, "the address comes first");
	is(set_plain(&w, 1, 0, 0x200000, PG, HVA), -EEXIST, "the overlap alone");
	is(set_gmem(&w, 1, 0x200000, PG, FD_CLOSED, 0), -EINVAL, "KVM_MEM_GUEST_MEMFD, an overlap and no file");
	is(w.err.rule, RULE_SLOT_IMMUTABLE, "the flag comes first");
	is(set_plain(&w, 1, 0, GPA_LIMIT, PG, HVA), -EINVAL, "beyond the limit");
	is(w.err.rule, RULE_SLOT_GPA_LIMIT, "by the limit");
	is(core_memslot_by_id(&w.vm, 1)->gpa, 0x100000, "and all the time it stays where it is");
	world_fini(&w);
}

int main(void)
{
	for (unsigned i = 0; i < RT_ARRAY_SIZE(generations); i++) {
		test_create(&generations[i]);
		test_delete(&generations[i]);
	}
	for (unsigned i = 0; i < core_profile_count; i++)
		if (strcmp(core_profiles[i].name, "linux-6.8") != 0)
			test_plain(core_profiles[i].name);
	test_modify();
	return done_testing();
}
