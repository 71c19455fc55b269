// SPDX-License-Identifier: MIT
/*
 * tests/unit_device_refusals.c - refusals of the device that another check, or luck, could hide
 *
 * unit_device_rules.c meets every rule once; here are the other places that name one: arguments of which a
 * part is not there, a second condition of a rule, failures of the host, other processes.  A place that is taken
 * out is missed by one of the two (tests/mutation.t).
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "device/internal.h"
#include "device/real.h"
#include "rt/syscall.h"
#include "tests/unit_device.h"
#include "uapi/kvm_irq.h"

#define SWEEP_MAX 600

/* The first n bytes of what can be read, the rest where nothing is. */
static void *cut_after(const void *from, size_t n)
{
	return memcpy(hole - n, from, n);
}

static void test_system(void)
{
	struct kvm_cpuid2 cpuid = { .nent = 2 };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} *msrs;

	refusal(kvm_fd, KVM_GET_EMULATED_CPUID, &cpuid, CPUID_ROOM, E2BIG, "room for two leaves of three");
	refusal(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, BY_VALUE(1), ARGUMENT_ZERO, EINVAL, "an argument where there is none");
	msrs = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	msrs->head.nmsrs = 1;
	msrs->entry.index = 0x8b;
	mprotect(msrs, PG, PROT_READ);
	refusal(kvm_fd, KVM_GET_MSRS, msrs, ARGUMENT_WRITE, EFAULT, "MSRs that can be read only");
	munmap(msrs, PG);
}

static void test_vm(void)
{
	int vm = new_vm(0), bad = -1;
	struct kvm_ioeventfd io = { .addr = PG, .len = 4, .fd = bad, .flags = KVM_IOEVENTFD_FLAG_DEASSIGN };
	struct kvm_irqfd irqfd = { .fd = (u32)bad, .flags = KVM_IRQFD_FLAG_DEASSIGN };
	struct kvm_irq_routing routes = { .nr = 1 };

	refusal(vm, KVM_RESET_DIRTY_RINGS, NULL, DIRTY_RING_SIZE, EINVAL, "no rings");
	refusal(vm, KVM_SET_BOOT_CPU_ID, BY_VALUE(1ULL << 32), VCPU_ID, EINVAL, "no vCPU can have that id");
	refusal(vm, KVM_IOEVENTFD, &io, EVENTFD, EBADF, "an ioeventfd to be taken back by what is not open");
	refusal(vm, KVM_IRQFD, &irqfd, EVENTFD, EBADF, "an irqfd");
	is(device_call(vm, KVM_CREATE_IRQCHIP, NULL), 0, "a controller");
	refusal(vm, KVM_SET_IRQCHIP, hole, ARGUMENT_READ, EFAULT, "its state, that is not there");
	refusal(vm, KVM_SET_GSI_ROUTING, cut_after(&routes, sizeof(routes)), ARGUMENT_READ, EFAULT,
		"routes that are not there");
	close(vm);
}

/* Where memory is what is missing. */
static void test_no_memory(void)
{
	static const struct {
		u32 cap;
		u64 arg;
	} caps[] = { { KVM_CAP_SPLIT_IRQCHIP, 24 }, { KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS } };

	for (unsigned i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		struct kvm_enable_cap cap = { .cap = caps[i].cap, .args = { caps[i].arg } };
		int vm = new_vm(0);
		bool answer;

		rt_fault_arm(1);
		answer = refused(vm, KVM_ENABLE_CAP, &cap, RULE_NO_MEMORY, ENOMEM);
		rt_fault_arm(0);
		ok(answer, "NO_MEMORY: capability %u without memory for a controller", cap.cap);
		is(device_call(vm, KVM_ENABLE_CAP, &cap), 0, "which can be enabled then");
		close(vm);
	}
}

static void test_cpuid(int cpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[2];
	} cpuid = { .head = { .nent = 2 }, .entry = { { .function = 0 }, { .function = 1 } } };
	const struct kvm_cpuid2 room = { .nent = 2 };

	is(device_call(cpu, KVM_SET_CPUID2, &cpuid), 0, "two leaves");
	refusal(cpu, KVM_SET_CPUID2, cut_after(&cpuid, sizeof(cpuid.head) + sizeof(cpuid.entry[0])), ARGUMENT_READ, EFAULT,
		"the second one is not there");
	refusal(cpu, KVM_GET_CPUID2, cut_after(&room, sizeof(room)), ARGUMENT_WRITE, EFAULT, "nowhere to put them");
	cpuid.head.nent = 1;
	refusal(cpu, KVM_GET_CPUID2, &cpuid, CPUID_ROOM, E2BIG, "room for one");
}

static void test_registers(int cpu)
{
	static struct kvm_xsave xsave;
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .flags = 1, .xcrs = { { .xcr = 0, .value = 1 } } };
	struct kvm_sregs2 sregs;
	u32 len = 8;

	is(device_call(cpu, KVM_GET_SREGS2, &sregs), 0, "special registers of real mode");
	sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	refusal(cpu, KVM_SET_SREGS2, &sregs, SREGS_LEGAL, EINVAL, "page directory pointers without PAE");
	/* In PAE mode the flag that is known is none of the errors. */
	sregs.flags = 2 | KVM_SREGS2_FLAGS_PDPTRS_VALID;
	sregs.cr0 |= 1ULL << 31 | 1;
	sregs.cr4 |= 1ULL << 5;
	refusal(cpu, KVM_SET_SREGS2, &sregs, SREGS_LEGAL, EINVAL, "an unknown flag");
	sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	is(device_call(cpu, KVM_SET_SREGS2, &sregs), 0, "without it they are taken");
	is(device_call(cpu, KVM_GET_XSAVE, &xsave), 0, "an XSAVE area");
	xsave.region[6] = ~0U;
	refusal(cpu, KVM_SET_XSAVE, &xsave, XSAVE_HEADER, EINVAL, "all bits of MXCSR");
	refusal(cpu, KVM_SET_XSAVE, hole, ARGUMENT_READ, EFAULT, "an area that is not there");
	refusal(cpu, KVM_SET_XCRS, &xcrs, XCRS_LEGAL, EINVAL, "a flag, with a legal register");
	refusal(cpu, KVM_SET_SIGNAL_MASK, hole, ARGUMENT_READ, EFAULT, "a length that is not there");
	refusal(cpu, KVM_SET_SIGNAL_MASK, cut_after(&len, sizeof(len)), ARGUMENT_READ, EFAULT,
		"signals that are not there");
}

static void test_machine_checks(int cpu)
{
	u64 cap = 0;
	struct kvm_x86_mce mce = { .status = 1ULL << 63, .bank = 1 };

	refusal(cpu, KVM_X86_SETUP_MCE, &cap, MCE_CAP, EINVAL, "no bank");
	cap = 33;
	refusal(cpu, KVM_X86_SETUP_MCE, &cap, MCE_CAP, EINVAL, "33 banks");
	cap = 1 | 1ULL << 10;
	refusal(cpu, KVM_X86_SETUP_MCE, &cap, MCE_CAP, EINVAL, "an interrupt for corrected errors");
	cap = 1;
	is(device_call(cpu, KVM_X86_SETUP_MCE, &cap), 0, "one bank");
	refusal(cpu, KVM_X86_SET_MCE, &mce, MCE_LEGAL, EINVAL, "an error of the second");
	mce.bank = 0;
	is(device_call(cpu, KVM_X86_SET_MCE, &mce), 0, "of the first");
	mce.status = 0;
	refusal(cpu, KVM_X86_SET_MCE, &mce, MCE_LEGAL, EINVAL, "a status that is not valid");
}

static void test_attributes(int cpu)
{
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = 1 };

	refusal(cpu, KVM_HAS_DEVICE_ATTR, &attr, VCPU_ATTRIBUTE, ENXIO, "a second attribute");
	attr.attr = KVM_VCPU_TSC_OFFSET;
	attr.addr = (u64)(uintptr_t)hole;
	refusal(cpu, KVM_GET_DEVICE_ATTR, &attr, ARGUMENT_WRITE, EFAULT, "nowhere to put it");
	refusal(cpu, KVM_SET_DEVICE_ATTR, &attr, ARGUMENT_READ, EFAULT, "a value that is not there");
}

static void test_vcpu(void)
{
	int vm = new_vm(0), cpu = new_vcpu(vm);
	struct kvm_tpr_access_ctl tpr = { .flags = 1 };
	struct kvm_vapic_addr vapic = { .vapic_addr = 16 * PG };

	test_cpuid(cpu);
	test_registers(cpu);
	test_machine_checks(cpu);
	test_attributes(cpu);
	refusal(cpu, KVM_RUN, BY_VALUE(1), ARGUMENT_ZERO, EINVAL, "an argument of KVM_RUN");
	refusal(cpu, KVM_TPR_ACCESS_REPORTING, &tpr, TPR_FLAGS, EINVAL, "a flag");
	refusal(cpu, KVM_SET_VAPIC_ADDR, &vapic, LAPIC_NONE, EINVAL, "a word for no controller");
	close(cpu);
	close(vm);

	vm = new_vm(0);
	is(device_call(vm, KVM_CREATE_IRQCHIP, NULL), 0, "a controller");
	cpu = new_vcpu(vm);
	refusal(cpu, KVM_SET_VAPIC_ADDR, hole, ARGUMENT_READ, EFAULT, "an address that is not there");
	refusal(cpu, KVM_SET_VAPIC_ADDR, &vapic, VAPIC_ADDR, EINVAL, "a word of no slot");
	refusal(cpu, KVM_SET_LAPIC, hole, ARGUMENT_READ, EFAULT, "a local APIC that is not there");
	close(cpu);
	close(vm);
}

static void test_real(void)
{
	const struct kvm_enable_cap ring = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { PG } };
	struct core_err err = { .rule = RULE_NONE };
	int vm = new_vm(0);
	struct dev_object *obj = device_object(vm);

	ok(obj && answered(dev_real_enable_cap(dev_to_vm(obj), 0, &ring, &err), &err, RULE_ENABLE_CAP_UNKNOWN, EINVAL),
	   "ENABLE_CAP_UNKNOWN: dirty rings, of vCPUs on the real KVM");
	if (obj)
		dev_put(obj);
	close(vm);
}

static void test_advice(void)
{
	char *at = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct core_err err = { .rule = RULE_NONE };

	ok(answered(dev_madvise(at + 1, PG, MADV_NORMAL, &err), &err, RULE_MADVISE_ADVICE, EINVAL),
	   "MADVISE_ADVICE: an address within a page");
	err.rule = RULE_NONE;
	ok(answered(dev_madvise(at, PG, MADV_WIPEONFORK, &err), &err, RULE_MADVISE_ADVICE, EINVAL),
	   "MADVISE_ADVICE: advice that files do not take");
	munmap(at, 2 * PG);
}

/* What a forked child is told: the number of the place that did not refuse, 0 for none. */
static int refused_child(int vm, int cpu)
{
	struct dev_object *vcpu = device_object(cpu);
	struct core_err err = { .rule = RULE_NONE };

	dev_forked();
	if (!refused(vm, KVM_CHECK_EXTENSION, BY_VALUE(KVM_CAP_USER_MEMORY), RULE_OWNER, EIO))
		return 1;
	if (!refused(cpu, KVM_GET_MP_STATE, hole, RULE_OWNER, EIO))
		return 2;
	/* As the overlay does for KVM_RUN, without dev_ioctl(). */
	if (!vcpu || !answered(dev_vcpu_run(vcpu, 1, &err), &err, RULE_OWNER, EIO))
		return 3;
	return 0;
}

static void test_child(void)
{
	int vm = new_vm(0), cpu = new_vcpu(vm), status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(refused_child(vm, cpu));
	waitpid(pid, &status, 0);
	is(status, 0, "OWNER: a forked child's calls of VM, vCPU and KVM_RUN");
	close(cpu);
	close(vm);
}

static struct dev_gmem *shared_file(int *vm, int *fd)
{
	const struct kvm_create_guest_memfd args = { .size = 64 * PG,
						     .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED };
	struct dev_object *obj;

	*vm = new_vm(1);
	*fd = (int)device_call(*vm, KVM_CREATE_GUEST_MEMFD, &args);
	obj = device_object(*fd);
	if (!obj) {
		printf("Bail out! no file\n");
		exit(1);
	}
	return dev_to_gmem(obj);
}

/* Each failure of the host during a conversion in turn. */
static void test_convert_memory(void)
{
	struct kvm_memory_attributes2 args;
	struct core_err err = { .rule = RULE_NONE };
	unsigned n, failed = 0, wrong = 0;
	int vm, fd;
	struct dev_gmem *g = shared_file(&vm, &fd);
	long view = dev_gmem_mmap(g, NULL, 64 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &err);

	ok(!rt_is_err(view), "a view of a file");
	for (n = 1; n <= SWEEP_MAX; n++) {
		long ret;

		args = (struct kvm_memory_attributes2){ .offset = 8 * PG, .size = 4 * PG, .error_offset = 1,
							.attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };
		rt_fault_arm(n);
		ret = device_request(fd, KVM_SET_MEMORY_ATTRIBUTES2, (u64)(uintptr_t)&args, &err);
		rt_fault_arm(0);
		if (ret == 0)
			break;
		failed++;
		wrong += !answered(ret, &err, RULE_CONVERT_MEMORY, ENOMEM) || args.error_offset != 8 * PG;
	}
	ok(failed && n <= SWEEP_MAX, "%u failures in the middle of a conversion", failed);
	is(wrong, 0, "CONVERT_MEMORY: all say so, and where the range begins");
	host_munmap((void *)view, 64 * PG);
	dev_put(&g->obj);
	close(fd);
	close(vm);
}

/* A process that holds the file's lock is stopped: what it may still see is the lowest page that is not private. */
static void test_convert_stopped(void)
{
	struct kvm_memory_attributes2 args = { .offset = 8 * PG, .size = 2 * PG,
					       .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };
	int vm, fd, status;
	struct dev_gmem *g = shared_file(&vm, &fd);
	pid_t pid;

	is(device_call(fd, KVM_SET_MEMORY_ATTRIBUTES2, &args), 0, "two pages made private");
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dev_forked();
		if (host_file_lock(&g->host) == 0)
			raise(SIGSTOP);
		_exit(1);
	}
	waitpid(pid, &status, WUNTRACED);
	ok(WIFSTOPPED(status), "a child with the lock is stopped");
	args.size = 4 * PG;
	refusal(fd, KVM_SET_MEMORY_ATTRIBUTES2, &args, CONVERT_PINNED, EAGAIN, "two more");
	is(args.error_offset, 10 * PG, "the first of those is named");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	args.error_offset = 0;
	is(device_call(fd, KVM_SET_MEMORY_ATTRIBUTES2, &args), 0, "with the child gone they are converted");
	dev_put(&g->obj);
	close(fd);
	close(vm);
}

int main(void)
{
	if (!start_device("linux-7.4"))
		return 1;
	test_system();
	test_vm();
	test_no_memory();
	test_vcpu();
	test_real();
	test_advice();
	test_child();
	test_convert_memory();
	test_convert_stopped();
	return done_testing();
}
