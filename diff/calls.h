/* SPDX-License-Identifier: MIT */
/*
 * diff/calls.h - the steps of `gmem diff`, made with a program's own calls
 *
 * This text is compiled into the command and is also printed, as it stands, at
 * the head of a reproducer: so it uses nothing but libc, and defines KVM's
 * structures itself.  Handles are small numbers; a step on a handle that is
 * empty (or that should be and is not) is skipped, so that any part of a
 * sequence is a sequence.  Mappings lie in windows at fixed addresses.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;

#define PAGE	     4096ULL
#define VMS	     3
#define FILES	     6
#define WINDOWS	     6
#define WINDOW_PAGES 32ULL
#define WINDOW_BASE  0x200000000000ULL
#define WINDOW_STEP  0x400000ULL
#define SKIPPED	     (-1000) /* the step had nothing to act on */
/* What only memslots use: the guests' own, and memory of which the last pages cannot be written, or not be read either. */
#define RAM_ADDRESS    ((char *)(WINDOW_BASE + WINDOWS * WINDOW_STEP))
#define MEMORY_ADDRESS ((char *)(WINDOW_BASE + (WINDOWS + 1) * WINDOW_STEP))
#define MEMORY_PAGES   16ULL
#define MEMORY_READ    10ULL /* from here on: PROT_READ */
#define MEMORY_NONE    13ULL
#define ALLOCATION   (64ULL << 20) /* bytes: pages of a real guest_memfd cannot be swapped */

/* What a step did.  aux: memory written back, contents, a signal's address within the window. */
struct result {
	s64 ret; /* or -errno */
	u64 aux;
	int sig, code;
};

static int kvm = -1, vm[VMS], file[FILES], source = -1, sink = -1;
static int vcpu[VMS], vcpu_reads[VMS]; /* vcpu_reads: awaits what a device answers */
static void *vcpu_run[VMS];
static sigjmp_buf fault_env;
static volatile sig_atomic_t touching;
static siginfo_t fault_info;

static char *window(u64 w)
{
	return (char *)(WINDOW_BASE + w * WINDOW_STEP);
}

static struct result result_of(s64 ret)
{
	return (struct result){ .ret = ret == -1 ? -errno : ret };
}

static struct result skipped(void)
{
	return (struct result){ .ret = SKIPPED };
}

static u64 hash_of(u64 hash, const void *data, size_t size)
{
	const unsigned char *byte = (const unsigned char *)data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * 0x100000001b3ULL;
	return hash;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	/* Nobody asked for this one: it ends the program. */
	if (!touching) {
		signal(sig, SIG_DFL);
		return;
	}
	fault_info = *info;
	siglongjmp(fault_env, 1);
}

static void forget_vcpu(u64 v)
{
	if (vcpu_run[v] && vcpu_run[v] != MAP_FAILED)
		munmap(vcpu_run[v], PAGE);
	vcpu_run[v] = NULL;
	close(vcpu[v]);
	vcpu[v] = -1;
}

static int new_memory(void)
{
	if (mmap(MEMORY_ADDRESS, MEMORY_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -1;
	if (mprotect(MEMORY_ADDRESS, MEMORY_NONE * PAGE, PROT_READ))
		return -1;
	return mprotect(MEMORY_ADDRESS, MEMORY_READ * PAGE, PROT_READ | PROT_WRITE);
}

/* Everything open at a step is closed: a sequence begins with nothing. */
static void end_sequence(void)
{
	for (u64 v = 0; v < VMS; v++)
		if (vcpu[v] >= 0)
			forget_vcpu(v);
	for (u64 w = 0; w < WINDOWS; w++)
		munmap(window(w), WINDOW_PAGES * PAGE);
	for (int f = 0; f < FILES; f++) {
		if (file[f] >= 0)
			close(file[f]);
		file[f] = -1;
	}
	for (int v = 0; v < VMS; v++) {
		if (vm[v] >= 0)
			close(vm[v]);
		vm[v] = -1;
	}
	new_memory();
}

static int make_ram(void);

static int begin(void)
{
	struct sigaction sa;
	unsigned char bytes[2 * PAGE];

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = on_fault;
	/* Not masked while it runs: nothing has to be restored after the jump. */
	sa.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	for (int f = 0; f < FILES; f++)
		file[f] = -1;
	for (int v = 0; v < VMS; v++)
		vm[v] = vcpu[v] = -1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + i / PAGE + 1);
	source = memfd_create("source", 0);
	sink = memfd_create("sink", 0);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0 || source < 0 || sink < 0 || write(source, bytes, sizeof(bytes)) != sizeof(bytes) ||
	    new_memory() || make_ram())
		return -errno;
	return 0;
}

/* --- VMs ----------------------------------------------------------------------- */

static struct result new_vm(u64 v, u64 type)
{
	if (vm[v] >= 0)
		return skipped();
	vm[v] = ioctl(kvm, 0xae01, type);
	return result_of(vm[v] < 0 ? -1 : 0);
}

static struct result close_vm(u64 v)
{
	if (vm[v] < 0)
		return skipped();
	close(vm[v]);
	vm[v] = -1;
	return result_of(0);
}

/* v beyond the VMs: the device. */
static struct result capability(u64 v, u64 number)
{
	if (v < VMS && vm[v] < 0)
		return skipped();
	return result_of(ioctl(v < VMS ? vm[v] : kvm, 0xae03, number));
}

struct region2 {
	u32 slot, flags;
	u64 guest_phys_addr, memory_size, userspace_addr, guest_memfd_offset;
	u32 guest_memfd, pad1;
	u64 pad2[14];
};

/* f beyond the files: a wrong descriptor. */
static struct result slot(u64 v, u64 id, u64 flags, u64 gpa, u64 size, u64 hva, u64 f, u64 offset)
{
	struct region2 r, before;
	struct result ret;

	if (vm[v] < 0 || (f < FILES && file[f] < 0))
		return skipped();
	memset(&r, 0xa5, sizeof(r));
	r.slot = (u32)id;
	r.flags = (u32)flags;
	r.guest_phys_addr = gpa;
	r.memory_size = size;
	r.userspace_addr = hva;
	r.guest_memfd_offset = offset;
	r.guest_memfd = (u32)(f < FILES ? file[f] : f == FILES ? -1 : f == FILES + 1 ? kvm : f == FILES + 2 ? vm[v] : source);
	before = r;
	ret = result_of(ioctl(vm[v], 0x40a0ae49, &r));
	ret.aux = memcmp(&r, &before, sizeof(r)) != 0;
	return ret;
}

static struct result slot1(u64 v, u64 id, u64 flags, u64 gpa, u64 size, u64 hva)
{
	u64 r[4] = { (u32)id | flags << 32, gpa, size, hva };

	if (vm[v] < 0)
		return skipped();
	return result_of(ioctl(vm[v], 0x4020ae46, r));
}

static struct result attributes(u64 v, u64 address, u64 size, u64 value, u64 flags)
{
	u64 a[4] = { address, size, value, flags };

	if (vm[v] < 0)
		return skipped();
	return result_of(ioctl(vm[v], 0x4020aed2, a));
}

static struct result enable(u64 v, u64 number, u64 flags, u64 arg)
{
	u64 a[13] = { (u32)number | flags << 32, arg };

	if (vm[v] < 0)
		return skipped();
	return result_of(ioctl(vm[v], 0x4068aea3, a));
}

static struct result mmu_pages(u64 v, u64 pages)
{
	if (vm[v] < 0)
		return skipped();
	return result_of(ioctl(vm[v], 0xae44, pages));
}
