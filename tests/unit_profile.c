// SPDX-License-Identifier: MIT
/*
 * tests/unit_profile.c - capabilities of every profile, against the specification's tables
 *
 * The expectations are written out as numbers, from kernel-abi 2.1, 2.2 and
 * in-place-conversion 1.3 and 1.4, and know nothing of the properties from
 * which the code computes its answers.
 */
#include <errno.h>
#include <string.h>

#include "core/vm.h"
#include "tests/core_mem.h"
#include "tests/tap.h"
#include "uapi/kvm_irq.h"

#define NR_COLUMNS 17
#define NR_TYPES   6

/* The decided capabilities. */
static const u32 columns[NR_COLUMNS] = { 3,   10,  16,	21,  30,  81,  105, 118, 201,
					 231, 232, 233, 234, 235, 236, 244, 252 };

struct expected {
	const char *profile;
	int param;
	int scope; /* -1: /dev/kvm */
	int value[NR_COLUMNS];
};

/* Mainline shape with every VM type that the generation knows. */
static const struct expected table[] = {
	/* profile, parameter, scope  3  10     16 21 30 81 105 118 201 231 232 233 234 235   236 244 252 */
	{ "linux-6.1", -1, -1, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 0, 0, 0, 0, 0x00, 0, 0, 0 } },
	{ "linux-6.1", -1, 0, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 0, 0, 0, 0, 0x00, 0, 0, 0 } },

	{ "linux-6.8", -1, -1, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 8, 1, 0x03, 0, 0, 0 } },
	{ "linux-6.8", -1, 0, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 0, 0x03, 0, 0, 0 } },
	{ "linux-6.8", -1, 1, { 1, 32764, 1, 1, 1, 1, 1, 1, 0x1000, 1, 1, 8, 1, 0x03, 0, 0, 0 } },

	{ "linux-6.12", -1, -1, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 8, 1, 0x1f, 1, 0, 0 } },
	{ "linux-6.12", -1, 0, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 0, 0x1f, 1, 0, 0 } },
	{ "linux-6.12", -1, 1, { 1, 32764, 1, 1, 1, 1, 1, 1, 0x1000, 1, 1, 8, 1, 0x1f, 1, 0, 0 } },
	{ "linux-6.12", -1, 2, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 0, 0x1f, 1, 0, 0 } },
	{ "linux-6.12", -1, 3, { 1, 32764, 1, 1, 1, 0, 1, 2, 0x1000, 1, 1, 0, 0, 0x1f, 1, 0, 0 } },
	{ "linux-6.12", -1, 4, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 8, 1, 0x1f, 1, 0, 0 } },

	{ "linux-6.18", -1, -1, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 8, 1, 0x3f, 1, 3, 0 } },
	{ "linux-6.18", -1, 0, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-6.18", -1, 1, { 1, 32764, 1, 1, 1, 1, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },
	{ "linux-6.18", -1, 2, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-6.18", -1, 3, { 1, 32764, 1, 1, 1, 0, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-6.18", -1, 4, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },
	{ "linux-6.18", -1, 5, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },

	{ "linux-7.3", -1, -1, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 8, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.3", -1, 0, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.3", -1, 1, { 1, 32764, 1, 1, 1, 1, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },
	{ "linux-7.3", -1, 2, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.3", -1, 3, { 1, 32764, 1, 1, 1, 0, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.3", -1, 4, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },
	{ "linux-7.3", -1, 5, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },

	{ "linux-7.4", -1, -1, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 8 } },
	{ "linux-7.4", -1, 0, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4", -1, 1, { 1, 32764, 1, 1, 1, 1, 1, 1, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 8 } },
	{ "linux-7.4", -1, 2, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4", -1, 3, { 1, 32764, 1, 1, 1, 0, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4", -1, 4, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 8 } },
	{ "linux-7.4", -1, 5, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 8 } },

	{ "linux-7.4-vm-attributes", -1, -1, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 8, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4-vm-attributes", -1, 0, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4-vm-attributes", -1, 1, { 1, 32764, 1, 1, 1, 1, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },
	{ "linux-7.4-vm-attributes", -1, 2, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4-vm-attributes", -1, 3, { 1, 32764, 1, 1, 1, 0, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4-vm-attributes", -1, 4, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },
	{ "linux-7.4-vm-attributes", -1, 5, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },

	{ "linux-7.4-vm-attributes", 0, -1, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 8, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4-vm-attributes", 0, 1, { 1, 32764, 1, 1, 1, 1, 1, 1, 0x1000, 1, 1, 8, 1, 0x3f, 1, 1, 0 } },

	{ "linux-7.4-vm-attributes", 1, -1, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 8 } },
	{ "linux-7.4-vm-attributes", 1, 0, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4-vm-attributes", 1, 1, { 1, 32764, 1, 1, 1, 1, 1, 1, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 8 } },
	{ "linux-7.4-vm-attributes", 1, 2, { 1, 32764, 1, 1, 1, 1, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4-vm-attributes", 1, 3, { 1, 32764, 1, 1, 1, 0, 1, 2, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 0 } },
	{ "linux-7.4-vm-attributes", 1, 4, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 8 } },
	{ "linux-7.4-vm-attributes", 1, 5, { 1, 32764, 1, 1, 1, 0, 1, 1, 0x1000, 1, 1, 0, 1, 0x3f, 1, 3, 8 } },
};

static struct core_sys sys_with(const char *profile, const struct core_shape *shape, u64 extra, int param)
{
	struct core_sys sys;

	if (core_sys_init(&sys, core_profile_find(profile), shape, extra, param) < 0)
		abort();
	return sys;
}

static void test_table(void)
{
	for (unsigned i = 0; i < RT_ARRAY_SIZE(table); i++) {
		const struct expected *e = &table[i];
		const struct core_profile *profile = core_profile_find(e->profile);
		struct core_sys sys = sys_with(e->profile, &core_shape_mainline, profile->known_vm_types, e->param);
		unsigned wrong = 0;
		char line[256];
		int at = 0;

		for (unsigned c = 0; c < NR_COLUMNS; c++) {
			int got = core_cap(&sys, e->scope, columns[c]);

			wrong += got != e->value[c];
			at += snprintf(line + at, sizeof(line) - (size_t)at, " %u=%#x", columns[c], (unsigned)got);
		}
		diag("%-24s param %2d scope %2d:%s", e->profile, e->param, e->scope, line);
		is(wrong, 0, "%s, parameter %d, scope %d: all decided capabilities", e->profile, e->param, e->scope);
	}
}

/* No profile or type of it can be missing from the table above. */
static void test_table_complete(void)
{
	unsigned rows = 0, wanted = 0;

	for (unsigned i = 0; i < RT_ARRAY_SIZE(table); i++)
		rows += table[i].param < 0;
	for (unsigned i = 0; i < core_profile_count; i++)
		wanted += 1 + (unsigned)__builtin_popcountll(core_profiles[i].known_vm_types);
	is(rows, wanted, "the table covers every profile on /dev/kvm and every VM type");
	is(core_profile_count, 7, "there are seven profiles");
	is(core_cap_count, NR_COLUMNS, "and as many decided capabilities as columns");
	for (unsigned c = 0; c < core_cap_count; c++)
		if (core_caps[c].cap != columns[c] || strncmp(core_caps[c].name, "KVM_CAP_", 8) != 0)
			ok(0, "capability %u is listed in order", columns[c]);
}

/* Each property by the generations that have it: a second writing of the table, by columns. */
static void test_properties(void)
{
	enum { V6_1, V6_8, V6_12, V6_18, V7_3, V7_4, V7_4_ATTRS };
#define PROPERTY(name, first, last) { #name, offsetof(struct core_profile, name), first, last }
	static const struct {
		const char *name;
		size_t at;
		unsigned first, last;
	} rows[] = {
		PROPERTY(variant, V7_4_ATTRS, V7_4_ATTRS),
		PROPERTY(has_gmem, V6_8, V7_4_ATTRS),
		PROPERTY(has_private_types, V6_8, V7_4_ATTRS),
		PROPERTY(gmem_for_all_types, V6_18, V7_4_ATTRS),
		PROPERTY(has_mmap, V6_18, V7_4_ATTRS),
		PROPERTY(has_pre_fault, V6_12, V7_4_ATTRS),
		PROPERTY(in_place_known, V7_4, V7_4_ATTRS),
		PROPERTY(in_place_default, V7_4, V7_4),
		PROPERTY(in_place_param, V7_4_ATTRS, V7_4_ATTRS),
		PROPERTY(noexec_fs, V6_18, V7_4_ATTRS),
		PROPERTY(write_zeroes, V6_18, V7_4_ATTRS),
		PROPERTY(own_fs, V7_3, V7_4_ATTRS),
		PROPERTY(hva_sign_only, V6_8, V6_8),
		PROPERTY(vcpu_id_u32, V6_1, V6_8),
		PROPERTY(readahead_ok, V6_8, V6_12),
		PROPERTY(hypercall_ret_zeroed, V6_18, V7_4_ATTRS),
		PROPERTY(efer_checked, V7_3, V7_4_ATTRS),
		PROPERTY(exit_reason_preset, V6_8, V7_4_ATTRS),
		PROPERTY(bind_checked_late, V7_3, V7_4_ATTRS),
	};
#undef PROPERTY

	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++) {
		unsigned wrong = 0;

		for (unsigned p = 0; p < core_profile_count; p++) {
			const bool *has = (const bool *)((const char *)&core_profiles[p] + rows[i].at);

			wrong += *has != (p >= rows[i].first && p <= rows[i].last);
		}
		is(wrong, 0, "%s: from %s to %s", rows[i].name, core_profiles[rows[i].first].name,
		   core_profiles[rows[i].last].name);
	}
	for (unsigned p = 0; p < core_profile_count; p++) {
		is(core_profiles[p].signed_offset_bug, p == V6_8 || p == V6_18, "%s: signed sums, which 6.12.114 has no more",
		   core_profiles[p].name);
		is(core_profiles[p].vm_attributes, p >= V6_8 && p != V7_4, "%s: attributes of VMs", core_profiles[p].name);
		is(core_profiles[p].bind_conflict_errno, p < V7_3 ? EINVAL : EEXIST, "%s: errno of a bound range",
		   core_profiles[p].name);
		ok(*core_profiles[p].summary && *core_profiles[p].checked, "%s: says what it is and what it was checked against",
		   core_profiles[p].name);
	}
}

/* What no profile has at once, core_sys_init() can be asked all the same. */
static void test_sys(void)
{
	struct core_profile profile = *core_profile_find("linux-7.4-vm-attributes");
	struct core_shape shape = core_shape_mainline;
	struct core_sys sys;

	ok(!strcmp(shape.name, "mainline"), "the shape without a host has its name");
	profile.in_place_default = true;
	is(core_sys_init(&sys, &profile, &shape, 0, 0), 0, "a parameter that is on by default");
	ok(!sys.in_place, "is off when 0 is asked for");
	is(core_sys_init(&sys, &profile, &shape, 0, -1), 0, "and when nothing is");
	ok(sys.in_place, "it is on");
	shape.private_mem = shape.sw_protected = false;
	is(core_sys_init(&sys, &profile, &shape, 1ULL << KVM_X86_SNP_VM, -1), 0, "a build whose only private type is confidential");
	ok(sys.shape.private_mem, "has private memory");
	is(core_sys_init(&sys, &profile, &shape, 1ULL << KVM_X86_DEFAULT_VM, -1), 0, "one with the default type alone");
	ok(!sys.shape.private_mem && !sys.in_place, "has none");
}

/* core/resolve.c relies on it: where pages have states, no slot reaches beyond its file. */
static void test_properties_apart(void)
{
	unsigned both = 0;

	for (unsigned i = 0; i < core_profile_count; i++)
		both += core_profiles[i].signed_offset_bug && core_profiles[i].in_place_known;
	is(both, 0, "no profile with in-place conversion has signed sums of offsets");
}

/* Runs fn for every profile, parameter value and legal set of extra types that matters. */
static void each_sys(void (*fn)(const struct core_sys *sys, void *ctx), void *ctx)
{
	for (unsigned i = 0; i < core_profile_count; i++) {
		const struct core_profile *profile = &core_profiles[i];

		for (int param = -1; param < (profile->in_place_param ? 2 : 0); param++) {
			struct core_sys sys = sys_with(profile->name, &core_shape_mainline, 0, param);

			fn(&sys, ctx);
			sys = sys_with(profile->name, &core_shape_mainline, profile->known_vm_types, param);
			fn(&sys, ctx);
		}
	}
}

static void count_flag_differences(const struct core_sys *sys, void *ctx)
{
	unsigned *wrong = ctx;

	for (unsigned type = 0; type < NR_TYPES; type++) {
		struct kvm_create_guest_memfd args = { .size = 4096 };
		struct core_vm vm;
		u64 mask;

		if (!(sys->vm_types >> type & 1))
			continue;
		if (core_vm_init(&vm, sys, &test_mem, type) < 0)
			abort();
		mask = (u64)core_cap(sys, (int)type, KVM_CAP_GUEST_MEMFD_FLAGS);
		for (unsigned bit = 0; bit < 64; bit++) {
			args.flags = 1ULL << bit;
			*wrong += core_file_check(&vm, &args, NULL) != (mask >> bit & 1 ? 0 : -EINVAL);
		}
		for (args.flags = 0; args.flags < 8; args.flags++)
			*wrong += core_file_check(&vm, &args, NULL) != (args.flags & ~mask ? -EINVAL : 0);
		core_vm_fini(&vm);
	}
}

static void count_both_attributes(const struct core_sys *sys, void *ctx)
{
	unsigned *wrong = ctx;

	for (int scope = CORE_SCOPE_DEVICE; scope < NR_TYPES; scope++)
		*wrong += core_cap(sys, scope, KVM_CAP_MEMORY_ATTRIBUTES) &&
			  core_cap(sys, scope, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES);
}

static void count_type_differences(const struct core_sys *sys, void *ctx)
{
	u64 mask = (u64)core_cap(sys, CORE_SCOPE_DEVICE, KVM_CAP_VM_TYPES);
	unsigned *wrong = ctx;

	/* Where the capability is unknown there is the default type. */
	if (!mask)
		mask = 1;
	for (u64 type = 0; type < 64; type++)
		*wrong += core_vm_type_check(sys, type, NULL) != (mask >> type & 1 ? 0 : -EINVAL);
	*wrong += core_vm_type_check(sys, 1ULL << 32, NULL) != -EINVAL;
	*wrong += core_vm_type_check(sys, 1ULL << 63, NULL) != -EINVAL;
	*wrong += core_vm_type_check(sys, ~0ULL, NULL) != -EINVAL;
	for (int scope = 0; scope < NR_TYPES; scope++)
		*wrong += core_cap(sys, scope, KVM_CAP_VM_TYPES) !=
			  core_cap(sys, CORE_SCOPE_DEVICE, KVM_CAP_VM_TYPES);
}

static bool is_known(u32 cap)
{
	static const u32 known[] = {
#define CAP(id, nature, answer) KVM_CAP_##id,
#define CAP_OTHER(id, answer)	KVM_CAP_##id,
#include "core/cap.def"
#undef CAP
#undef CAP_OTHER
	};

	for (size_t i = 0; i < RT_ARRAY_SIZE(known); i++)
		if (known[i] == cap)
			return true;
	return false;
}

static void count_unknown_answers(const struct core_sys *sys, void *ctx)
{
	static const u32 far[] = { 100000, 1U << 31, ~0U, 0x10000 + 234 };
	unsigned *wrong = ctx;

	for (int scope = CORE_SCOPE_DEVICE; scope < NR_TYPES; scope++) {
		for (u32 cap = 0; cap < 1000; cap++)
			*wrong += core_cap(sys, scope, cap) < 0 || (!is_known(cap) && core_cap(sys, scope, cap));
		for (unsigned i = 0; i < RT_ARRAY_SIZE(far); i++)
			*wrong += core_cap(sys, scope, far[i]) != 0;
	}
}

static void test_contract(void)
{
	unsigned wrong = 0;

	each_sys(count_flag_differences, &wrong);
	is(wrong, 0, "KVM_CAP_GUEST_MEMFD_FLAGS is the mask that creation accepts: 64 bits, every profile and type");
	wrong = 0;
	each_sys(count_both_attributes, &wrong);
	is(wrong, 0, "attributes are set on the VM or on the file, never on both");
	wrong = 0;
	each_sys(count_type_differences, &wrong);
	is(wrong, 0, "a bit of KVM_CAP_VM_TYPES is set exactly where creation accepts the type");
	wrong = 0;
	each_sys(count_unknown_answers, &wrong);
	is(wrong, 0, "unknown capabilities answer 0 and none answers a negative number");
}

static void test_vm_types(void)
{
	struct core_sys sys;
	struct core_err err;

	sys = sys_with("linux-7.3", &core_shape_mainline, 0, -1);
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 235), 3, "mainline shape: types 0 and 1");
	sys = sys_with("linux-6.8", &core_shape_mainline, 0, -1);
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 235), 3, "also on 6.8");
	sys = sys_with("linux-6.1", &core_shape_mainline, 0, -1);
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 235), 0, "6.1 does not know the capability");
	is(core_vm_type_check(&sys, 0, &err), 0, "6.1 creates type 0");
	is(core_vm_type_check(&sys, 1, &err), -EINVAL, "and refuses type 1");
	is(err.rule, RULE_VM_TYPE, "by the rule of types");
	sys = sys_with("linux-7.3", &core_shape_mainline, 1 << 4, -1);
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 235), 0x13, "an extra type adds its bit");
	is(core_vm_type_check(&sys, 4, NULL), 0, "and works");
	is(core_vm_type_check(&sys, 5, NULL), -EINVAL, "but no other");
	is(core_sys_init(&sys, core_profile_find("linux-6.8"), &core_shape_mainline, 1 << 2, -1), -EINVAL,
	   "a type that the generation does not know is refused: SEV on 6.8");
	is(core_sys_init(&sys, core_profile_find("linux-6.12"), &core_shape_mainline, 1 << 5, -1), -EINVAL,
	   "TDX on 6.12");
	is(core_sys_init(&sys, core_profile_find("linux-6.1"), &core_shape_mainline, 1 << 1, -1), -EINVAL,
	   "software-protected on 6.1");
	is(core_sys_init(&sys, core_profile_find("linux-7.4"), &core_shape_mainline, 1 << 6, -1), -EINVAL,
	   "type 6 on 7.4");
}

static void test_parameter(void)
{
	struct core_sys sys;

	is(core_sys_init(&sys, core_profile_find("linux-7.3"), &core_shape_mainline, 0, 1), -EINVAL,
	   "7.3 has no parameter gmem_in_place_conversion");
	is(core_sys_init(&sys, core_profile_find("linux-7.4"), &core_shape_mainline, 0, 0), -EINVAL,
	   "nor has 7.4 in the default configuration");
	is(core_sys_init(&sys, core_profile_find("linux-7.4-vm-attributes"), &core_shape_mainline, 0, 1), 0,
	   "7.4 with per-VM attributes has it");
	ok(sys.in_place, "and it turns in-place conversion on");
	sys = sys_with("linux-7.4-vm-attributes", &core_shape_mainline, 0, -1);
	ok(!sys.in_place, "which is off otherwise");
	sys = sys_with("linux-7.4", &core_shape_mainline, 0, -1);
	ok(sys.in_place, "and on in 7.4");
}

static void test_shapes(void)
{
	struct core_shape shape = core_shape_mainline;
	struct core_sys sys;

	/* The 6.18.44 that was run: no SMM, no two-dimensional paging, nothing private. */
	shape.sw_protected = shape.private_mem = shape.smm = shape.tdp = false;
	sys = sys_with("linux-6.18", &shape, 0, -1);
	is(core_cap(&sys, 0, 118), 0, "without SMM there is no answer to address spaces");
	is(core_type_address_spaces(&sys, 0), 1, "since there is one");
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 233), 0, "nothing private compiled in: no attributes");
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 235), 1, "type 0 alone");
	is(core_cap(&sys, 0, 236), 0, "without two-dimensional paging no pre-faulting");
	is(core_cap(&sys, 0, 234), 1, "guest_memfd all the same");
	is(core_cap(&sys, 0, 244), 3, "with both flags");
	sys = sys_with("linux-6.12", &shape, 0, -1);
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 234), 0, "6.12 has guest_memfd for private memory only");
	ok(!core_sys_has_gmem(&sys), "so that it is not compiled in here");
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 231), 1, "while the second memory region ioctl is");
	sys = sys_with("linux-7.4", &shape, 0, -1);
	ok(!sys.in_place, "7.4 without private memory: the switch is constant false");
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 252), 0, "and no attributes on files");
	is(core_sys_init(&sys, core_profile_find("linux-7.4-vm-attributes"), &shape, 0, 1), -EINVAL,
	   "nor a parameter to set");

	shape = core_shape_mainline;
	shape.tdp = false;
	sys = sys_with("linux-7.3", &shape, 0, -1);
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 235), 1, "type 1 needs two-dimensional paging");
	is(core_cap(&sys, CORE_SCOPE_DEVICE, 233), 8, "attributes follow the build, not the hardware");

	shape = core_shape_mainline;
	shape.cpus = 6;
	sys = sys_with("linux-7.3", &shape, 0, -1);
	is(core_cap(&sys, 0, KVM_CAP_NR_VCPUS), 6, "recommended vCPUs are the CPUs");
	shape.cpus = 5000;
	sys = sys_with("linux-7.3", &shape, 0, -1);
	is(core_cap(&sys, 0, KVM_CAP_NR_VCPUS), 1024, "at most what a VM may have");
}

static void test_others(void)
{
	static const int pairs[][2] = { { 0, 1 },     { 9, 1 },	    { 61, 1 },	 { 66, 1024 },
					{ 98, 1 },    { 128, 4096 }, { 136, 1 }, { 74, 7 },
					{ 203, 1 } };
	struct core_sys sys = sys_with("linux-7.4", &core_shape_mainline, 0, -1);

	for (unsigned i = 0; i < RT_ARRAY_SIZE(pairs); i++)
		is(core_cap(&sys, CORE_SCOPE_DEVICE, (u32)pairs[i][0]), pairs[i][1], "capability %d of this build",
		   pairs[i][0]);
}

static void test_names(void)
{
	ok(strcmp(core_profile_newest()->name, "linux-7.4") == 0, "the newest is 7.4, not its variant");
	ok(!core_profile_find("linux-5.15"), "an unknown name finds nothing");
	ok(!core_profile_find("linux-7.4-"), "nor does a prefix of one");
	for (unsigned i = 0; i < core_profile_count; i++)
		ok(core_profile_find(core_profiles[i].name) == &core_profiles[i] && *core_profiles[i].summary &&
			   *core_profiles[i].checked,
		   "%s is found, says what it is and against what it was checked", core_profiles[i].name);
}

static void test_decided(void)
{
	ok(core_cap_decided(KVM_CAP_GUEST_MEMFD), "guest_memfd is the profile's to decide");
	ok(!core_cap_decided(KVM_CAP_IRQCHIP), "the interrupt controller is not");
	ok(!core_cap_decided(100000), "nor what nobody knows");
}

int main(void)
{
	test_decided();
	test_table();
	test_table_complete();
	test_properties();
	test_properties_apart();
	test_sys();
	test_contract();
	test_vm_types();
	test_parameter();
	test_shapes();
	test_others();
	test_names();
	return done_testing();
}
