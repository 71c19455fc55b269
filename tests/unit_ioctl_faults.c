// SPDX-License-Identifier: MIT
/*
 * tests/unit_ioctl_faults.c - each system call and allocation of each ioctl fails in turn
 *
 * The ioctls are those of device/ioctl.def: a new one is swept without a word here.  Most need no argument but
 * zeroes; what needs more to be accepted is in argument(), and whatever is refused all the same is named.  A fault makes a request say ENOMEM by a rule, or leaves
 * it as it was; nothing stays behind, and the same request then says what it says without a fault.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "device/internal.h"
#include "rt/alloc.h"
#include "rt/syscall.h"
#include "rt/user.h"
#include "tests/device_call.h"
#include "tests/tap.h"

#define SWEEP_MAX 600
#define PG	  4096UL

static int kvm_fd, vm_fd, vcpu_fd, file_fd, event_fd;

static const struct row {
	enum dev_kind kind;
	u32 cmd;
	const char *name;
} rows[] = {
#define IOCTL(kind, name, copy, gate, real, handler) { DEV_##kind, name, #kind " " #name },
#include "device/ioctl.def"
#undef IOCTL
};

/* Zeroes hold addresses, too: a copy from there is refused. */
static void on_fault(int sig, siginfo_t *info, void *ctx)
{
	u64 rip = (u64)((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP];

	if (!rt_user_fixup(&rip)) {
		signal(sig, SIG_DFL);
		return;
	}
	((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP] = (greg_t)rip;
}

/* --- arguments that come further than zeroes do --------------------------------------- */

static union {
	u8 bytes[16384];
	struct kvm_create_guest_memfd gmem;
	struct kvm_memory_attributes2 attributes2;
	struct kvm_memory_attributes attributes;
	struct kvm_userspace_memory_region region;
	struct kvm_userspace_memory_region2 region2;
	struct kvm_irq_routing routing;
	struct kvm_irqfd irqfd;
	struct kvm_ioeventfd ioeventfd;
	struct kvm_cpuid2 cpuid;
	struct kvm_msr_list list;
	struct kvm_enable_cap cap;
	struct kvm_dirty_log log;
	struct kvm_clear_dirty_log clear;
	struct kvm_msi msi;
	struct kvm_x86_mce mce;
	struct kvm_device_attr attr;
	struct kvm_pre_fault_memory fault;
	u64 word;
	u32 length;
} arg;

/* A slot with a dirty log, and memory of its own. */
static char ram[64 * PG] __attribute__((aligned(4096)));
#define SLOT	 7
#define SLOT_GPA (1UL << 32)

static void *argument(enum dev_kind kind, u32 cmd)
{
	static u64 word;

	memset(&arg, 0, sizeof(arg));
	switch (cmd) {
	case KVM_GET_API_VERSION:
	case KVM_GET_VCPU_MMAP_SIZE:
	case KVM_SET_BOOT_CPU_ID:
	case KVM_SET_TSC_KHZ: /* the host's */
	case KVM_RESET_DIRTY_RINGS:
		return NULL;
	case KVM_SET_TSS_ADDR:
		return (void *)0xfffbd000;
	case KVM_ENABLE_CAP:
		arg.cap.cap = kind == DEV_VM ? KVM_CAP_DIRTY_LOG_RING : KVM_CAP_ENFORCE_PV_FEATURE_CPUID;
		arg.cap.args[0] = 4096;
		break;
	case KVM_GET_DIRTY_LOG:
		arg.log = (struct kvm_dirty_log){ .slot = SLOT, .dirty_bitmap = &word };
		break;
	case KVM_CLEAR_DIRTY_LOG:
		word = ~0ULL;
		arg.clear = (struct kvm_clear_dirty_log){ .slot = SLOT, .num_pages = 64, .dirty_bitmap = &word };
		break;
	case KVM_SIGNAL_MSI:
		arg.msi = (struct kvm_msi){ .address_lo = 0xfee00000, .data = 0x40 };
		break;
	case KVM_X86_SETUP_MCE:
		arg.word = 10;
		break;
	case KVM_X86_SET_MCE:
		arg.mce = (struct kvm_x86_mce){ .status = 1ULL << 63 | 5, .bank = 2 };
		break;
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		arg.attr = (struct kvm_device_attr){ .group = KVM_VCPU_TSC_CTRL, .addr = (uintptr_t)&word };
		break;
	case KVM_SET_SIGNAL_MASK:
		arg.length = 8;
		break;
	case KVM_PRE_FAULT_MEMORY:
		arg.fault = (struct kvm_pre_fault_memory){ .gpa = SLOT_GPA, .size = 2 * PG };
		break;
	case KVM_CREATE_VM:
	case KVM_CREATE_VCPU:
		return (void *)1;
	case KVM_CREATE_GUEST_MEMFD:
		arg.gmem = (struct kvm_create_guest_memfd){ .size = 64 * PG, .flags = GUEST_MEMFD_FLAG_MMAP };
		break;
	case KVM_SET_MEMORY_ATTRIBUTES2:
		arg.attributes2 = (struct kvm_memory_attributes2){ .offset = PG,
								   .size = 2 * PG,
								   .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };
		break;
	case KVM_SET_MEMORY_ATTRIBUTES:
		arg.attributes = (struct kvm_memory_attributes){ .address = PG,
								 .size = 2 * PG,
								 .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };
		break;
	case KVM_SET_USER_MEMORY_REGION:
		arg.region = (struct kvm_userspace_memory_region){ .slot = 5,
								   .flags = KVM_MEM_LOG_DIRTY_PAGES,
								   .guest_phys_addr = 1UL << 33,
								   .memory_size = 64 * PG,
								   .userspace_addr = 1UL << 30 };
		break;
	case KVM_SET_USER_MEMORY_REGION2:
		arg.region2 = (struct kvm_userspace_memory_region2){ .slot = 6,
								     .flags = KVM_MEM_GUEST_MEMFD,
								     .guest_phys_addr = 1UL << 34,
								     .memory_size = 64 * PG,
								     .userspace_addr = 1UL << 30,
								     .guest_memfd = (u32)file_fd };
		break;
	case KVM_SET_GSI_ROUTING:
		arg.routing.nr = 1;
		arg.routing.entries[0].gsi = 40;
		arg.routing.entries[0].type = KVM_IRQ_ROUTING_MSI;
		arg.routing.entries[0].u.msi.address_lo = 0xfee00000;
		break;
	case KVM_IRQFD:
		arg.irqfd = (struct kvm_irqfd){ .fd = (u32)event_fd, .gsi = 5 };
		break;
	case KVM_IOEVENTFD:
		arg.ioeventfd = (struct kvm_ioeventfd){ .addr = 0x1000, .len = 4, .fd = event_fd };
		break;
	case KVM_GET_SUPPORTED_CPUID:
	case KVM_GET_EMULATED_CPUID:
	case KVM_GET_CPUID2:
		arg.cpuid.nent = 200;
		break;
	case KVM_GET_MSR_INDEX_LIST:
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		arg.list.nmsrs = 1000;
		break;
	}
	return &arg;
}

/* --- a world for each request, and what is left of it ----------------------------------------- */

static bool world_new(const struct row *row)
{
	struct kvm_create_guest_memfd gmem = { .size = 64 * PG, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED };

	struct kvm_userspace_memory_region slot = { .slot = SLOT,
						    .flags = KVM_MEM_LOG_DIRTY_PAGES,
						    .guest_phys_addr = SLOT_GPA,
						    .memory_size = sizeof(ram),
						    .userspace_addr = (uintptr_t)ram };

	event_fd = eventfd(0, EFD_CLOEXEC);
	vm_fd = (int)device_call(kvm_fd, KVM_CREATE_VM, (void *)KVM_X86_SW_PROTECTED_VM);
	/* Most of the VM's ioctls want a controller; creating one or what it excludes wants none. */
	if (row->cmd != KVM_CREATE_IRQCHIP && row->cmd != KVM_ENABLE_CAP && row->cmd != KVM_INTERRUPT)
		device_call(vm_fd, KVM_CREATE_IRQCHIP, NULL);
	if (row->cmd == KVM_GET_PIT || row->cmd == KVM_SET_PIT || row->cmd == KVM_GET_PIT2 || row->cmd == KVM_SET_PIT2 ||
	    row->cmd == KVM_REINJECT_CONTROL)
		device_call(vm_fd, KVM_CREATE_PIT2, argument(DEV_VM, 0));
	if (row->cmd == KVM_RESET_DIRTY_RINGS)
		device_call(vm_fd, KVM_ENABLE_CAP, argument(DEV_VM, KVM_ENABLE_CAP));
	if (row->cmd == KVM_GET_DIRTY_LOG || row->cmd == KVM_CLEAR_DIRTY_LOG || row->cmd == KVM_PRE_FAULT_MEMORY)
		device_call(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot);
	/* An interrupt wants somebody to take it. */
	vcpu_fd = row->kind == DEV_VCPU || row->cmd == KVM_SIGNAL_MSI ? (int)device_call(vm_fd, KVM_CREATE_VCPU, NULL) : -1;
	file_fd = (int)device_call(vm_fd, KVM_CREATE_GUEST_MEMFD, &gmem);
	/* Where the VM has the attributes, its files are private throughout. */
	gmem.flags = 0;
	if (file_fd < 0)
		file_fd = (int)device_call(vm_fd, KVM_CREATE_GUEST_MEMFD, &gmem);
	return vm_fd >= 0 && file_fd >= 0 && event_fd >= 0;
}

static void world_end(void)
{
	close(file_fd);
	if (vcpu_fd >= 0)
		close(vcpu_fd);
	close(vm_fd);
	close(event_fd);
	dev_reap();
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static bool ruleless; /* the last request was refused with ENOMEM, and no rule said so */

static long ask(const struct row *row)
{
	int fd = row->kind == DEV_SYSTEM ? kvm_fd : row->kind == DEV_VM ? vm_fd : row->kind == DEV_VCPU ? vcpu_fd : file_fd;
	struct core_err err;
	long ret = device_request(fd, row->cmd, (u64)(uintptr_t)argument(row->kind, row->cmd), &err);

	ruleless = ret == -ENOMEM && err.rule == RULE_NONE && row->cmd != KVM_RUN;
	return ret;
}

/*
 * What is refused whatever is asked: of the two kinds of attributes a profile has one, and gmem has no device to
 * create (device/vm.c).
 */
static bool always_refused(u32 cmd)
{
	return cmd == KVM_CREATE_DEVICE || cmd == KVM_SET_MEMORY_ATTRIBUTES || cmd == KVM_SET_MEMORY_ATTRIBUTES2;
}

/* KVM's own memory aside: what it cannot get of the program's is EFAULT to it, whatever the reason. */
static long no_memory(u32 cmd)
{
	return cmd == KVM_PRE_FAULT_MEMORY ? -EFAULT : -ENOMEM;
}

static void forget(const struct row *row, long ret)
{
	if (ret >= 0 && dev_ioctl_makes_fd(row->cmd))
		close((int)ret);
}

static void sweep(const struct row *row)
{
	unsigned n, other = 0, unrepeated = 0, leaked = 0, failed = 0;
	long plain, ret, again;
	bool fired = true;
	int fds;
	u64 memory;

	/* Once for what is made at the first time; its answer without a fault. */
	for (int i = 0; i < 2; i++) {
		if (!world_new(row)) {
			ok(false, "%s: a world for it", row->name);
			return;
		}
		plain = ask(row);
		forget(row, plain);
		world_end();
	}
	fds = open_fds();
	memory = rt_alloc_live();
	for (n = 1; fired && n <= SWEEP_MAX; n++) {
		world_new(row);
		rt_fault_arm(n);
		ret = ask(row);
		fired = rt_fault_fired();
		rt_fault_arm(0);
		forget(row, ret);
		if (ret < 0 && ret != plain) {
			failed++;
			other += ruleless || (ret != -ENOMEM && ret != no_memory(row->cmd));
			if (ret != -ENOMEM && ret != no_memory(row->cmd))
				diag("%s: call %u failing gives %ld, none %ld", row->name, n, ret, plain);
			again = ask(row);
			if ((again < 0) != (plain < 0)) {
				unrepeated++;
				diag("%s: call %u failing gives %ld, then %ld, plain %ld", row->name, n, ret, again, plain);
			}
			forget(row, again);
		}
		world_end();
		if (open_fds() != fds || rt_alloc_live() != memory || dev_count(DEV_VM) || dev_count(DEV_GMEM) ||
		    dev_count(DEV_VCPU)) {
			leaked++;
			diag("%s: call %u failing: %d descriptors, %d before; %llu bytes, %llu before", row->name, n, open_fds(),
			     fds, (unsigned long long)rt_alloc_live(), (unsigned long long)memory);
			fds = open_fds();
			memory = rt_alloc_live();
		}
	}
	ok(!fired && !other && !unrepeated && !leaked && (plain >= 0 || always_refused(row->cmd)), "%s: %u faults, %u refusals, else %ld", row->name, n - 2, failed, plain);
}

static int run_profile(const char *profile)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct dev_config config = { 0 };

	sigaction(SIGSEGV, &sa, NULL);
	if (core_sys_init(&config.sys, core_profile_find(profile), &core_shape_mainline, 0, -1) < 0)
		return 1;
	host_fd_init();
	if (dev_init(&config) || host_init(NULL))
		return 1;
	kvm_fd = dev_open(O_RDWR | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		sweep(rows + i);
	return tap_failed != 0;
}

int main(void)
{
	/* The second has the VM's attributes. */
	static const char *const profiles[] = { "linux-7.4", "linux-7.4-vm-attributes" };

	setvbuf(stdout, NULL, _IOLBF, 0);
#ifdef __SANITIZE_THREAD__
	/* They have no thread-local storage of their own: both would use the sanitizer's one call stack. */
	skip_all("the thread sanitizer does not know the threads of an interrupt controller");
#endif
	for (size_t i = 0; i < 2; i++) {
		int status;
		pid_t pid;

		diag("%s", profiles[i]);
		fflush(stdout);
		/* dev_init() works once. */
		pid = fork();
		if (pid == 0)
			exit(run_profile(profiles[i]));
		waitpid(pid, &status, 0);
		tap_count += (int)(sizeof(rows) / sizeof(rows[0]));
		tap_failed += status != 0;
		if (!WIFEXITED(status))
			diag("%s died of signal %d", profiles[i], WTERMSIG(status));
	}
	return done_testing();
}
