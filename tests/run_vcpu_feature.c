// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_feature.c - feature MSRs, and that all that is listed can be saved and restored
 */
#include "tests/run_vcpu.h"

#define ARCH_CAPABILITIES 0x10a
#define PERF_CAPABILITIES 0x345
#define DE_CFG		  0xc0011029
#define LIST_MAX	  200

struct msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static int get(int fd, unsigned index, uint64_t *value)
{
	struct msr m = { { .nmsrs = 1 }, { .index = index } };
	int n = ioctl(fd, KVM_GET_MSRS, &m);

	*value = m.entry.data;
	return n;
}

static int set(int fd, unsigned index, uint64_t value)
{
	struct msr m = { { .nmsrs = 1 }, { .index = index, .data = value } };

	return ioctl(fd, KVM_SET_MSRS, &m);
}

static struct kvm_msr_list *list_of(int kvm, unsigned long request)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + LIST_MAX * sizeof(list->indices[0]));

	list->nmsrs = LIST_MAX;
	if (ioctl(kvm, request, list))
		die("a list of MSRs");
	return list;
}

static bool lists(const struct kvm_msr_list *list, unsigned index)
{
	for (unsigned i = 0; i < list->nmsrs; i++)
		if (list->indices[i] == index)
			return true;
	return false;
}

static void set_cpuid(const struct guest *g)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 100 * sizeof(cpuid->entries[0]));

	cpuid->nent = 100;
	if (ioctl(g->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) || ioctl(g->vcpu, KVM_SET_CPUID2, cpuid))
		die("CPUID");
	free(cpuid);
}

static void features(void)
{
	struct guest g = guest_new(0);
	struct kvm_msr_list *list = list_of(g.kvm, KVM_GET_MSR_FEATURE_INDEX_LIST);
	uint64_t value, of_vcpu;
	unsigned readable = 0, same = 0;

	ok(lists(list, ARCH_CAPABILITIES), "ARCH_CAPABILITIES is a feature MSR");
	ok(lists(list, PERF_CAPABILITIES), "and PERF_CAPABILITIES");
	is(get(g.vcpu, ARCH_CAPABILITIES, &value), 1, "without its bit of CPUID");
	is(value, 0, "a vCPU has no ARCH_CAPABILITIES");
	set_cpuid(&g);
	for (unsigned i = 0; i < list->nmsrs; i++) {
		readable += get(g.kvm, list->indices[i], &value) == 1;
		same += get(g.vcpu, list->indices[i], &of_vcpu) == 1 && (of_vcpu == value || list->indices[i] == DE_CFG);
	}
	is(readable, list->nmsrs, "each can be read of /dev/kvm");
	is(same, list->nmsrs, "and is what a vCPU starts with");
	is(get(g.kvm, 0x277, &value), 1, "other MSRs that are listed as state");
	is(value, 0, "read as 0");
	is(get(g.kvm, 0x12345678, &value), 0, "unknown ones do not");
	free(list);
	guest_free(&g);
}

static void saved(void)
{
	struct guest g = guest_new(0);
	struct kvm_msr_list *list = list_of(g.kvm, KVM_GET_MSR_INDEX_LIST);

	ok(lists(list, ARCH_CAPABILITIES), "ARCH_CAPABILITIES is state to be saved");
	set_cpuid(&g);
	for (unsigned i = 0; i < list->nmsrs; i++) {
		uint64_t value;

		is(get(g.vcpu, list->indices[i], &value), 1, "MSR %#x can be saved", list->indices[i]);
		is(set(g.vcpu, list->indices[i], value), 1, "and restored");
	}
	free(list);
	guest_free(&g);
}

static void legal(void)
{
	struct guest g = guest_new(0);
	uint64_t value;

	is(set(g.vcpu, PERF_CAPABILITIES, 1), 0, "a performance capability that is not offered");
	is(set(g.vcpu, ARCH_CAPABILITIES, 1), 0, "ARCH_CAPABILITIES without its bit of CPUID");
	set_cpuid(&g);
	is(set(g.vcpu, ARCH_CAPABILITIES, 1), 1, "and with it");
	is(get(g.vcpu, ARCH_CAPABILITIES, &value), 1, "reads back");
	is(value, 1, "as written");
	if (get(g.kvm, DE_CFG, &value) == 1) {
		is(set(g.vcpu, DE_CFG, value), 1, "of DE_CFG what is offered");
		is(set(g.vcpu, DE_CFG, value | 1ULL << 40), 0, "and nothing else");
	}
	guest_free(&g);
}

int main(void)
{
	features();
	saved();
	legal();
	return done_testing();
}
