// SPDX-License-Identifier: MIT
/*
 * tests/unit_device_faults.c - each system call and allocation of a request fails in turn
 *
 * A request that fails says ENOMEM, has changed nothing and left nothing; the
 * same request then succeeds.  In the end all is given back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "rt/alloc.h"
#include "rt/syscall.h"
#include "rt/user.h"
#include "tests/device_call.h"
#include "tests/tap.h"

#define PG	  4096UL
#define PAGES	  1024UL
#define SWEEP_MAX 600

static int kvm_fd, vm_fd = -1, file_fd = -1, made_fd;
static char *view;
static bool private[PAGES];

static void on_fault(int sig, siginfo_t *info, void *ctx)
{
	u64 rip = (u64)((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP];
	struct host_fault fault;

	host_fault(sig, info->si_code, info->si_addr, &fault);
	if (fault.kind == HOST_FAULT_RETRY)
		return;
	if (!rt_user_fixup(&rip)) {
		signal(sig, SIG_DFL);
		return;
	}
	((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP] = (greg_t)rip;
}

/* --- requests ----------------------------------------------------------------------- */

static struct dev_gmem *file(void)
{
	struct dev_object *obj = device_object(file_fd);

	if (!obj) {
		printf("Bail out! the file was lost\n");
		exit(1);
	}
	dev_put(obj);
	return (struct dev_gmem *)obj;
}

static long create_vm(void)
{
	return made_fd = (int)device_call(kvm_fd, KVM_CREATE_VM, (void *)1);
}

static long create_file(void)
{
	struct kvm_create_guest_memfd arg = { .size = PAGES * PG,
					      .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED };

	return made_fd = (int)device_call(vm_fd, KVM_CREATE_GUEST_MEMFD, &arg);
}

static void close_made(void)
{
	close(made_fd);
	dev_reap();
}

/* In a VM of its own: a vCPU lives as long as that. */
static int vcpu_fd;

static long create_vcpu(void)
{
	long vm = create_vm();

	if (vm < 0)
		return vm;
	vcpu_fd = (int)device_call((int)vm, KVM_CREATE_VCPU, (void *)0);
	if (vcpu_fd < 0)
		close_made();
	return vcpu_fd;
}

static void close_vcpu(void)
{
	close(vcpu_fd);
	close_made();
}

static long convert(u64 first, u64 count, bool to_private)
{
	struct kvm_memory_attributes2 arg = { .offset = first * PG,
					      .size = count * PG,
					      .attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0 };
	long ret = device_call(file_fd, KVM_SET_MEMORY_ATTRIBUTES2, &arg);

	if (ret == 0)
		memset(private + first, to_private, count);
	return ret;
}

static long to_private(void)
{
	return convert(100, 700, true);
}

static void back_to_shared(void)
{
	convert(100, 700, false);
}

static long alternate(void)
{
	long ret = 0;

	for (u64 page = 0; page < 64 && ret == 0; page += 2)
		ret = convert(page, 1, true);
	return ret;
}

static void all_shared(void)
{
	convert(0, PAGES, false);
}

/* Private from the first round on. */
static long to_shared(void)
{
	return convert(300, 100, false);
}

static void to_private_again(void)
{
	convert(300, 100, true);
}

static char *mapped;

static long map_file(void)
{
	struct core_err err;
	long ret = dev_gmem_mmap(file(), NULL, PAGES * PG, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &err);

	mapped = (char *)ret;
	return rt_is_err(ret) ? ret : 0;
}

static void unmap_mapped(void)
{
	host_munmap(mapped, PAGES * PG);
	dev_reap();
}

static long protect_view(void)
{
	return host_mprotect(view + 10 * PG, 20 * PG, PROT_READ, -1);
}

static void unprotect_view(void)
{
	host_mprotect(view, PAGES * PG, PROT_READ | PROT_WRITE, -1);
}

static long punch(void)
{
	struct core_err err;

	return dev_gmem_fallocate(file(), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PAGES * PG, &err);
}

static long allocate(void)
{
	struct core_err err;

	return dev_gmem_fallocate(file(), FALLOC_FL_KEEP_SIZE, 0, 64 * PG, &err);
}

static long advise(void)
{
	struct core_err err;

	return dev_madvise(view, PAGES * PG, MADV_REMOVE, &err);
}

static long set_slot(u64 size)
{
	struct kvm_userspace_memory_region2 arg = { .slot = 3,
						    .flags = size ? KVM_MEM_GUEST_MEMFD : 0,
						    .guest_phys_addr = 1UL << 32,
						    .memory_size = size,
						    .userspace_addr = 1UL << 30,
						    .guest_memfd = (u32)file_fd };

	return device_call(vm_fd, KVM_SET_USER_MEMORY_REGION2, &arg);
}

static long bind(void)
{
	return set_slot(PAGES * PG);
}

static void unbind(void)
{
	set_slot(0);
}

static void nothing(void)
{
}

static const struct {
	const char *name;
	long (*run)(void);
	void (*undo)(void);
	bool may_do_part; /* several requests, or one that may end early as the kernel's own */
} steps[] = {
	{ "KVM_CREATE_VM", create_vm, close_made, false },
	{ "KVM_CREATE_GUEST_MEMFD", create_file, close_made, false },
	{ "KVM_CREATE_VM and KVM_CREATE_VCPU", create_vcpu, close_vcpu, false },
	{ "mmap", map_file, unmap_mapped, false },
	{ "conversion to private", to_private, back_to_shared, false },
	{ "conversion to shared", to_shared, to_private_again, false },
	{ "conversion of single pages", alternate, all_shared, true },
	{ "mprotect", protect_view, unprotect_view, true },
	{ "KVM_SET_USER_MEMORY_REGION2", bind, unbind, false },
	{ "allocation", allocate, nothing, true },
	{ "punching a hole", punch, nothing, true },
	{ "MADV_REMOVE", advise, nothing, true },
};

/* --- what must hold ---------------------------------------------------------------------- */

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

struct state {
	int fds;
	unsigned vms, files, vcpus;
	u64 memory;
};

static struct state now(void)
{
	struct state s;

	dev_reap();
	s = (struct state){ open_fds(), dev_count(DEV_VM), dev_count(DEV_GMEM), dev_count(DEV_VCPU), rt_alloc_live() };
	return s;
}

static bool same(struct state a, struct state b)
{
	if (a.fds == b.fds && a.vms == b.vms && a.files == b.files && a.vcpus == b.vcpus && a.memory == b.memory)
		return true;
	diag("%d descriptors, %u VMs, %u files, %u vCPUs, %llu bytes; then %d, %u, %u, %u, %llu", a.fds, a.vms, a.files,
	     a.vcpus, (unsigned long long)a.memory, b.fds, b.vms, b.files, b.vcpus, (unsigned long long)b.memory);
	return false;
}

static bool states_hold(void)
{
	struct dev_gmem *g = file();
	u64 bad = 0;

	for (u64 page = 0; page < PAGES; page++) {
		if (core_store_is_private(&g->core.store, page) != private[page]) {
			diag("page %llu should be %s", (unsigned long long)page, private[page] ? "private" : "shared");
			return false;
		}
	}
	if (host_audit(&g->host, &bad)) {
		diag("the views disagree with the states at page %llu", (unsigned long long)bad);
		return false;
	}
	return true;
}

static void sweep(const char *engine, unsigned step)
{
	unsigned n, failed = 0, other = 0, broken = 0, leaked = 0, unrepeated = 0;
	struct state before;

	/* Caches fill at the first time. */
	if (steps[step].run() >= 0)
		steps[step].undo();
	before = now();
	for (n = 1; n <= SWEEP_MAX; n++) {
		bool fired;
		long ret;

		rt_fault_arm(n);
		ret = steps[step].run();
		fired = rt_fault_fired();
		rt_fault_arm(0);
		if (ret < 0) {
			failed++;
			other += ret != -ENOMEM;
			broken += !states_hold();
			if (steps[step].may_do_part)
				steps[step].undo();
			leaked += !same(before, now());
			unrepeated += steps[step].run() < 0;
		}
		broken += !states_hold();
		steps[step].undo();
		leaked += !same(before, now());
		if (!fired)
			break;
	}
	ok(n <= SWEEP_MAX, "%s, %s: %u faults, %u failures", engine, steps[step].name, n - 1, failed);
	is(other, 0, "%s, %s: which are all ENOMEM", engine, steps[step].name);
	is(broken, 0, "%s, %s: states and views are as they were, or as asked for", engine, steps[step].name);
	is(leaked, 0, "%s, %s: nothing is left behind", engine, steps[step].name);
	is(unrepeated, 0, "%s, %s: the next attempt succeeds", engine, steps[step].name);
}

static int run_engine(const char *engine)
{
	struct dev_config config = { 0 };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct core_err err;
	struct state empty;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	if (core_sys_init(&config.sys, core_profile_find("linux-7.4"), &core_shape_mainline, 0, -1) < 0)
		return 1;
	host_fd_init();
	if (dev_init(&config) || host_init(engine))
		return 1;
	kvm_fd = dev_open(O_RDWR | O_CLOEXEC);
	/* What objects are made of is kept for others of their kind: as many of each as there will be at once. */
	vm_fd = (int)create_vm();
	file_fd = (int)create_file();
	create_file();
	close_made();
	create_vcpu();
	close_vcpu();
	close(file_fd);
	close(vm_fd);
	empty = now();
	vm_fd = (int)create_vm();
	file_fd = (int)create_file();
	view = (char *)dev_gmem_mmap(file(), NULL, PAGES * PG, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &err);
	ok(vm_fd >= 0 && file_fd >= 0 && !rt_is_err((long)view), "%s: a VM with a mapped file", engine);
	memset(view, 1, 8 * PG);
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		sweep(engine, i);
		all_shared();
	}
	host_munmap(view, PAGES * PG);
	close(file_fd);
	close(vm_fd);
	dev_reap();
	is(dev_count(DEV_VM) + dev_count(DEV_GMEM) + dev_count(DEV_VCPU), 0, "%s: no object is left in the end", engine);
	ok(same(empty, now()), "%s: nor memory, nor a descriptor", engine);
	return tap_failed != 0;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (const char *const *name = host_engine_names(); *name; name++) {
		int status;
		pid_t pid;

		if (!host_engine_runs(*name)) {
			skip(1, "engine %s cannot run here", *name);
			continue;
		}
		fflush(stdout);
		/* dev_init() works once. */
		pid = fork();
		if (pid == 0)
			exit(run_engine(*name)); /* not _exit(): what gcov has counted is written */
		waitpid(pid, &status, 0);
		tap_count += 3 + 5 * (int)(sizeof(steps) / sizeof(steps[0]));
		tap_failed += status != 0;
		if (!WIFEXITED(status))
			diag("%s died of signal %d", *name, WTERMSIG(status));
	}
	return done_testing();
}
