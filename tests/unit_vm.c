// SPDX-License-Identifier: MIT
/*
 * tests/unit_vm.c - settings of a VM: KVM_ENABLE_CAP and other small ioctls, life
 */
#include <errno.h>

#include "core/vm.h"
#include "tests/core_mem.h"
#include "tests/tap.h"

static struct core_sys sys_with(const char *profile, const struct core_shape *shape, u64 extra, int param)
{
	struct core_sys sys;

	if (core_sys_init(&sys, core_profile_find(profile), shape, extra, param) < 0)
		abort();
	return sys;
}

static void test_enable_cap(void)
{
	struct core_sys sys = sys_with("linux-6.1", &core_shape_mainline, 0, -1);
	struct kvm_enable_cap args = { .cap = KVM_CAP_EXIT_HYPERCALL, .args = { 0x1000 } };
	struct core_err err;
	struct core_vm vm;

	if (core_vm_init(&vm, &sys, &test_mem, 0) < 0)
		abort();
	is(core_vm_enable_cap(&vm, &args, &err), 0, "KVM_CAP_EXIT_HYPERCALL can be enabled, on 6.1 too");
	is(vm.exit_hypercall, 0x1000, "and is remembered");
	args.flags = 1;
	args.args[0] = 1;
	is(core_vm_enable_cap(&vm, &args, &err), -EINVAL, "flags are refused");
	is(err.rule, RULE_ENABLE_CAP_FLAGS, "before args");
	args.cap = KVM_CAP_GUEST_MEMFD;
	is(core_vm_enable_cap(&vm, &args, &err), -EINVAL, "also of capabilities that cannot be enabled");
	is(err.rule, RULE_ENABLE_CAP_FLAGS, "and before these");
	args.flags = 0;
	is(core_vm_enable_cap(&vm, &args, &err), -EINVAL, "other capabilities are refused");
	is(err.rule, RULE_ENABLE_CAP_UNKNOWN, "as such");
	args.cap = KVM_CAP_EXIT_HYPERCALL;
	args.args[0] = 0x1001;
	is(core_vm_enable_cap(&vm, &args, &err), -EINVAL, "so are other hypercalls");
	is(err.rule, RULE_ENABLE_CAP_HYPERCALL, "by their rule");
	is(vm.exit_hypercall, 0x1000, "and nothing has changed");
	args.args[0] = 0;
	args.args[1] = ~0ULL;
	is(core_vm_enable_cap(&vm, &args, &err), 0, "0 disables; further args are not looked at");
	is(vm.exit_hypercall, 0, "and is remembered");
	core_vm_fini(&vm);
}

static void test_settings(void)
{
	struct core_sys old = sys_with("linux-6.8", &core_shape_mainline, 0, -1);
	struct core_sys sys = sys_with("linux-7.3", &core_shape_mainline, 1 << 5, -1);
	struct core_err err;
	struct core_vm vm;

	if (core_vm_init(&vm, &sys, &test_mem, 0) < 0)
		abort();
	is(core_vm_set_nr_mmu_pages(&vm, 63, &err), -EINVAL, "63 MMU pages are too few");
	is(core_vm_set_nr_mmu_pages(&vm, 0, &err), -EINVAL, "none are");
	is(core_vm_set_nr_mmu_pages(&vm, 64, &err), 0, "64 are not");
	is(core_vm_set_nr_mmu_pages(&vm, ~0ULL, &err), 0, "nor is any larger number");
	is(core_vm_create_irqchip(&vm, &err), 0, "an interrupt controller can be created");
	is(core_vm_create_irqchip(&vm, &err), -EEXIST, "once");
	is(core_vm_create_vcpu(&vm, 4096, 0, &err), -EINVAL, "a vCPU id of 4096 is too high");
	is(err.rule, RULE_VCPU_ID, "by its rule");
	is(core_vm_create_vcpu(&vm, 1ULL << 32, 0, &err), -EINVAL, "so is 2^32");
	is(core_vm_create_vcpu(&vm, 4095, 1023, &err), 0, "4095 passes");
	is(core_vm_create_vcpu(&vm, 5, 1024, &err), -EINVAL, "a VM has at most 1024 vCPUs");
	is(err.rule, RULE_VCPU_COUNT, "by its rule");
	core_vm_fini(&vm);

	if (core_vm_init(&vm, &sys, &test_mem, KVM_X86_TDX_VM) < 0)
		abort();
	is(core_vm_create_irqchip(&vm, &err), -ENOTTY, "a TDX VM cannot have the controller");
	core_vm_fini(&vm);

	if (core_vm_init(&vm, &old, &test_mem, 0) < 0)
		abort();
	is(core_vm_create_vcpu(&vm, 1ULL << 32, 0, &err), 0, "6.8 cuts 2^32 to 0, which is a legal id");
	core_vm_fini(&vm);
}

static void test_init_memory(void)
{
	struct core_sys sys = sys_with("linux-7.4", &core_shape_mainline, 0, -1);
	struct core_vm vm;
	unsigned long nth;
	int ret = -ENOMEM;

	for (nth = 1; ret == -ENOMEM && nth < 100; nth++) {
		long before = mem_live;

		mem_fail(nth);
		ret = core_vm_init(&vm, &sys, &test_mem, 0);
		if (ret < 0 && mem_live != before)
			break;
	}
	mem_fail(0);
	is(ret, 0, "a VM whose n-th allocation fails leaves nothing behind, for every n");
	is(nth - 1, 3, "of which there are two, then it succeeds");
	core_vm_fini(&vm);
	ok(!vm.slots && !vm.attrs, "what is gone can be told from what is there");
	core_vm_fini(&vm);
	is(mem_live, 0, "no memory is left");
}

int main(void)
{
	test_enable_cap();
	test_settings();
	test_init_memory();
	return done_testing();
}
