/* SPDX-License-Identifier: MIT */
/*
 * tests/harness_device_world.h - the world of harness_device: its memory, its descriptors, its signals, a machine to begin with
 *
 * All memory that KVM may be told of lies in one reservation, so that nothing that an input asks for can hit the
 * harness itself:
 *
 *	0 .. RAM_PAGES		memory: slots, code, page tables
 *	VIEWS .. 		NR_VIEWS windows for mappings of files
 *	ARG .. 			the argument of ioctls, up to the end of its last page
 *	else			nothing, and nothing behind it
 */
#ifndef GMEM_TESTS_HARNESS_DEVICE_WORLD_H
#define GMEM_TESTS_HARNESS_DEVICE_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "device/internal.h"
#include "host/engine.h"
#include "rt/alloc.h"
#include "rt/user.h"
#include "tests/device_call.h"
#include "tests/harness.h"

#define PG	     4096UL
#define REGION_BYTES (1UL << 30)
#define SLOT_BYTES   (16UL << 20) /* of a slot, at most, unless it is far too large */
#define RAM_PAGES    32UL
#define VIEWS	     (1UL << 20)
#define VIEW_BYTES   (1UL << 18)
#define NR_VIEWS     4
#define VIEWS_BYTES  (NR_VIEWS * VIEW_BYTES + VIEW_BYTES) /* a mapping may begin in the last and end behind it */
#define ARG	     (4UL << 20)
#define ARG_BYTES    (4 * PG)
#define FILE_BYTES   (1UL << 20)
#define FILE_GPA     0x100000ULL
#define CODE	     0x1000UL
#define TABLES	     0x10000UL /* identity: PML4, PDPT with 1 GiB pages */
#define RUNS	     16	       /* KVM_RUN of one input */
#define NR_EACH	     4	       /* VMs, vCPUs, files: no more at once */

struct world {
	int kvm, fd[DEV_KINDS][NR_EACH], stats[NR_EACH], event[2]; /* -1: none */
	unsigned next_fd[DEV_KINDS], next_stats, runs;
	struct kvm_run *run[NR_EACH]; /* mapped */
	unsigned mode;
	bool features;
};

static char *region;
static u8 *arg;
static struct world world;

/* --- signals: as the overlay's entry ------------------------------------------------------ */

static sigjmp_buf touch_jmp;
static volatile bool touching;
static struct sigaction before_us[65];
static timer_t stopwatch;

static void on_signal(int signo, siginfo_t *info, void *ctx)
{
	greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	const struct dev_fault_context c = { (u64 *)&g[REG_RIP], (u64 *)&g[REG_RSP], (u64 *)&g[REG_RDI],
					     (u64 *)&g[REG_RSI], (u64 *)&g[REG_EFL], (u64 *)g };
	struct host_fault fault;

	if (info->si_code == DEV_VCPU_CODE) {
		dev_vcpu_aborts((u64)(uintptr_t)info->si_ptr, &c);
		return;
	}
	if (info->si_code == SI_TIMER) {
		if (info->si_ptr == &stopwatch)
			dev_vcpu_defers(&c);
		else
			dev_vcpu_tick(info->si_ptr, &c);
		return;
	}
	host_fault(signo, info->si_code, info->si_addr, &fault);
	if (fault.kind == HOST_FAULT_RETRY || rt_user_fixup((u64 *)&g[REG_RIP]))
		return;
	if (dev_vcpu_fault((u64)(uintptr_t)info->si_addr, fault.kind == HOST_FAULT_POISON, &c))
		return;
	if (touching)
		siglongjmp(touch_jmp, 1);
	/* A bug: for whoever reports it. */
	sigaction(signo, &before_us[signo], NULL);
}

static void touch(volatile char *at, bool write)
{
	if (!sigsetjmp(touch_jmp, 1)) {
		touching = true;
		if (write)
			*at = 1;
		else
			(void)*at;
	}
	touching = false;
}

static void signals_init(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = DEV_VCPU_SIGNAL,
				  .sigev_value.sival_ptr = &stopwatch };

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	sigfillset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, &before_us[SIGSEGV]);
	sigaction(SIGBUS, &sa, &before_us[SIGBUS]);
	HOLDS(timer_create(CLOCK_MONOTONIC, &event, &stopwatch) == 0);
}

/* A guest that loops or sleeps is stopped in the way of a program's signal, which may come before it has begun. */
static void stopwatch_set(long ns)
{
	const struct itimerspec spec = { { 0, ns }, { 0, ns } };

	HOLDS(timer_settime(stopwatch, 0, &spec, NULL) == 0);
}

/* --- a process's begin ------------------------------------------------------------------------ */

static void *reserve(char *at, size_t size, int prot)
{
	return mmap(at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0), -1, 0);
}

static void world_init(void)
{
	struct dev_config config = { 0 };

	HOLDS(core_sys_init(&config.sys, core_profile_newest(), &core_shape_mainline, 0, -1) == 0);
	signals_init();
	host_fd_init();
	HOLDS(dev_init(&config) == 0 && host_init(NULL) == 0);
	region = reserve(NULL, REGION_BYTES, PROT_NONE);
	HOLDS(region != MAP_FAILED);
	reserve(region, RAM_PAGES * PG, PROT_READ | PROT_WRITE);
	arg = reserve(region + ARG, ARG_BYTES, PROT_READ | PROT_WRITE);
}

/* --- a world for each input --------------------------------------------------------------------- */

static int *fd_place(enum dev_kind kind, unsigned n)
{
	return kind == DEV_SYSTEM ? &world.kvm : &world.fd[kind][n % NR_EACH];
}

/* A descriptor that an ioctl gave: in the place of an older one. */
static void keep_fd(enum dev_kind kind, int fd)
{
	const unsigned n = world.next_fd[kind]++ % NR_EACH;

	if (world.fd[kind][n] >= 0)
		close(world.fd[kind][n]);
	world.fd[kind][n] = fd;
	if (kind != DEV_VCPU)
		return;
	if (world.run[n])
		munmap(world.run[n], DEV_VCPU_PAGES * PG);
	world.run[n] = mmap(NULL, DEV_VCPU_PAGES * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	HOLDS(world.run[n] != MAP_FAILED);
}

static bool has_room(enum dev_kind kind)
{
	return world.next_fd[kind] < NR_EACH;
}

static void set_slot(u32 id, u64 gpa, u64 size, u64 offset, u32 flags, int file)
{
	const struct kvm_userspace_memory_region2 r = { .slot = id, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
							 .userspace_addr = (u64)(uintptr_t)region + offset,
							 .guest_memfd = file < 0 ? 0 : (u32)file };

	device_call(world.fd[DEV_VM][0], file < 0 ? KVM_SET_USER_MEMORY_REGION : KVM_SET_USER_MEMORY_REGION2, &r);
}

static struct kvm_segment flat(u8 type, bool l)
{
	return (struct kvm_segment){ .limit = 0xffffffff, .selector = type == 11 ? 8 : 16, .type = type, .present = 1, .s = 1,
				     .db = !l, .l = l, .g = 1 };
}

/* 0: as at reset, 1: real mode, 2: protected mode, 3: long mode; at CODE. */
static void set_mode(int vcpu, unsigned mode)
{
	struct kvm_regs r = { .rip = CODE, .rflags = 2, .rsp = 0x8000, .rbx = 0x2000, .rsi = 0x3000, .rdi = FILE_GPA };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = 7 };
	struct kvm_sregs s = { 0 };

	if (!mode || device_call(vcpu, KVM_GET_SREGS, &s))
		return;
	device_call(vcpu, KVM_SET_XCRS, &xcrs);
	s.cr4 |= 3U << 9 | (world.features || mode == 3 ? 1U << 18 : 0);
	s.cs.base = 0;
	s.cs.selector = 0;
	if (mode >= 2) {
		s.cr0 |= 1;
		s.cs = flat(11, mode == 3);
		s.ds = s.es = s.fs = s.gs = s.ss = flat(3, false);
	}
	if (mode == 3) {
		s.cr0 |= 1U << 31;
		s.cr4 |= 1U << 5;
		s.efer |= 1U << 8 | 1U << 10;
		s.cr3 = TABLES;
	}
	device_call(vcpu, KVM_SET_SREGS, &s);
	device_call(vcpu, KVM_SET_REGS, &r);
}

/* All features, also those that are not offered: without them there is neither long mode nor AVX. */
static void set_cpuid(int vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[DEV_CPUID_MAX];
	} cpuid;
	struct kvm_cpuid_entry2 *e = cpuid.entries;

	cpuid.head.nent = DEV_CPUID_MAX - 2;
	HOLDS(device_call(world.kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) == 0);
	for (unsigned i = 0; i < cpuid.head.nent; i++, e++)
		if (e->function == 1 || e->function == 7 || e->function == 0x80000001)
			e->ecx = e->edx = ~0U, e->ebx |= e->function == 7 ? ~0U : 0;
	*e++ = (struct kvm_cpuid_entry2){ .function = 0xd, .flags = 1, .eax = 7, .ebx = 832, .ecx = 832 };
	*e = (struct kvm_cpuid_entry2){ .function = 0xd, .index = 1, .flags = 1, .eax = 15 };
	cpuid.head.nent += 2;
	HOLDS(device_call(vcpu, KVM_SET_CPUID2, &cpuid) == 0);
}

/* The first vCPU comes when it is needed: what must come before it can. */
static void need_vcpu(void)
{
	long fd;

	if (world.next_fd[DEV_VCPU])
		return;
	fd = device_call(world.fd[DEV_VM][0], KVM_CREATE_VCPU, NULL);
	if (fd < 0)
		return;
	keep_fd(DEV_VCPU, (int)fd);
	if (world.features || world.mode == 3)
		set_cpuid((int)fd);
	set_mode((int)fd, world.mode);
}

/* Profile, engine and the switch; then the machine: type, controller, timer, mode, slots. */
static void world_begin(struct input *in)
{
	const unsigned choice = (unsigned)input_take(in, 1), machine = (unsigned)input_take(in, 1);
	const struct core_profile *p = &core_profiles[choice % core_profile_count];
	const char *const *names = host_engine_names();
	const int in_place = p->in_place_param && choice & 0x20 ? (int)(choice >> 4 & 1) : -1;
	struct kvm_create_guest_memfd file = { .size = FILE_BYTES, .flags = 3 };
	u64 *tables = (u64 *)(region + TABLES);
	long fd;

	memset(&world, 0, sizeof(world));
	memset(world.fd, -1, sizeof(world.fd));
	memset(world.stats, -1, sizeof(world.stats));
	/* No object is left that could have seen another. */
	HOLDS(core_sys_init(&dev_config.sys, p, &core_shape_mainline, 0, in_place) == 0);
	for (unsigned n = choice >> 6; n && names[1]; n--)
		names++;
	if (host_engine_runs(*names))
		HOLDS(host_init(*names) == 0);
	memset(region, 0, RAM_PAGES * PG);
	memset(arg, 0, ARG_BYTES);
	tables[0] = TABLES + PG + 7;
	tables[PG / 8] = 0x87;
	world.kvm = dev_open(O_RDWR | O_CLOEXEC);
	world.event[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	world.event[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fd = device_call(world.kvm, KVM_CREATE_VM, (void *)(uintptr_t)(machine & 1 && p->has_private_types));
	HOLDS(world.kvm >= 0 && world.event[1] >= 0 && fd >= 0);
	keep_fd(DEV_VM, (int)fd);
	world.mode = machine >> 1 & 3;
	world.features = machine & 128;
	if (machine & 8)
		HOLDS(device_call((int)fd, KVM_CREATE_IRQCHIP, NULL) == 0);
	if (machine & 16)
		device_call((int)fd, KVM_CREATE_PIT2, &(struct kvm_pit_config){ 0 });
	set_slot(0, 0, RAM_PAGES * PG, 0, machine & 32 ? KVM_MEM_LOG_DIRTY_PAGES : 0, -1);
	for (; machine & 64 && p->has_gmem; file.flags >>= 1) {
		fd = device_call(world.fd[DEV_VM][0], KVM_CREATE_GUEST_MEMFD, &file);
		if (fd >= 0)
			keep_fd(DEV_GMEM, (int)fd);
		if (fd >= 0 || !file.flags)
			break;
	}
	if (world.fd[DEV_GMEM][0] >= 0)
		set_slot(1, FILE_GPA, VIEW_BYTES, VIEWS, KVM_MEM_GUEST_MEMFD, world.fd[DEV_GMEM][0]);
}

/* What is enforced is what the states say, in every view. */
static void audit(void)
{
	for (unsigned n = 0; n < NR_EACH; n++) {
		struct dev_object *obj = world.fd[DEV_GMEM][n] < 0 ? NULL : device_object(world.fd[DEV_GMEM][n]);
		u64 bad;

		if (!obj)
			continue;
		HOLDS(host_audit(&dev_to_gmem(obj)->host, &bad) == 0);
		dev_put(obj);
	}
}

/* Over views, so that nothing else ever comes there. */
static void reserve_again(char *at, size_t size)
{
	HOLDS((char *)host_mmap_over(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == at);
}

static void close_all(int *fd, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		if (fd[n] >= 0)
			close(fd[n]);
		fd[n] = -1;
	}
}

static void world_end(void)
{
	audit();
	reserve_again(region + VIEWS, VIEWS_BYTES);
	for (unsigned n = 0; n < NR_EACH; n++)
		if (world.run[n])
			munmap(world.run[n], DEV_VCPU_PAGES * PG);
	for (unsigned kind = 0; kind < DEV_KINDS; kind++)
		close_all(world.fd[kind], NR_EACH);
	close_all(world.stats, NR_EACH);
	close_all(world.event, 2);
	close_all(&world.kvm, 1);
	dev_reap();
	HOLDS(!dev_count(DEV_VM) && !dev_count(DEV_VCPU) && !dev_count(DEV_GMEM));
}

#endif
