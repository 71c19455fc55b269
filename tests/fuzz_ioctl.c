// SPDX-License-Identifier: MIT
/*
 * tests/fuzz_ioctl.c - random ioctls on an emulated /dev/kvm against a naive model
 *
 *	fuzz_ioctl [--seconds N] [--seed S]
 *
 * The model below is written down once more from the specification, as a list
 * of checks over plain arrays, and knows nothing of core/.  Each call must
 * answer as the model says (INV-4), leave its argument as it was but for what is
 * written back, and name a rule when, and only when, it refuses.  After each
 * call the state of every page must be the model's.  Files are mapped, too: a touch of a view must be
 * refused or give the model's byte, and every few calls all views are audited.  A process for each
 * profile, on the host's engines in turn; a failing seed is printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/engine.h"
#include "rt/user.h"
#include "tests/device_call.h"
#include "tests/tap.h"

#define PG	 4096ULL
#define CLAMP63	 0x7ffffffffffff000ULL
#define NR_VMS	 2
#define NR_FILES 6
#define NR_SLOTS 12
#define MAX_PAGES 48
#define AUDIT_EVERY 16

struct model_file {
	int fd; /* -1: none */
	int vm;
	u64 size, flags;
	bool private[MAX_PAGES];
	u8 bytes[MAX_PAGES]; /* the first of each page */
};

struct model_slot {
	bool used;
	u64 gpa, size, hva, off;
	u32 flags;
	int file; /* -1: none, or gone */
};

static const struct core_profile *profile;
static struct core_sys sys;
static int kvm_fd, vm_fd[NR_VMS]; /* VM i is of type i where the profile has it */
static unsigned vm_type[NR_VMS];
static struct model_file files[NR_FILES];
static struct model_slot slots[NR_VMS][2][NR_SLOTS];
static u64 seed, calls_made;
static char *edge; /* a page behind which nothing can be read */
static char said[300];

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static u64 below(u64 n)
{
	return rnd() % n;
}

static bool one_in(u64 n)
{
	return !below(n);
}

static u64 odd_value(void)
{
	/* Among them the ends of guest physical and of user space. */
	const u64 values[] = { 0, 1, PG - 1, PG, PG + 1, 1ULL << 31, 1ULL << 32, (1ULL << 31) * PG, 1ULL << 47,
			       sys.shape.hva_limit - PG, sys.shape.hva_limit, (1ULL << sys.shape.gpa_bits) - PG,
			       1ULL << sys.shape.gpa_bits, 1ULL << 52, 1ULL << 62, CLAMP63, CLAMP63 - PG, 1ULL << 63,
			       -PG, -2 * PG, ~0ULL };

	return one_in(4) ? rnd() : values[below(RT_ARRAY_SIZE(values))];
}

/* Mostly a small number of pages. */
static u64 pages_value(u64 limit)
{
	return one_in(12) ? odd_value() : below(limit) * PG;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- the model -------------------------------------------------------------------- */

static bool type_private(unsigned type)
{
	return type == KVM_X86_SW_PROTECTED_VM;
}

static u64 model_gmem_flags(int vm)
{
	if (!profile->has_mmap)
		return 0;
	if (!type_private(vm_type[vm]) || sys.in_place)
		return GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	return GUEST_MEMFD_FLAG_MMAP;
}

static long model_create(int vm, const struct kvm_create_guest_memfd *a)
{
	if (!profile->has_gmem)
		return -ENOTTY;
	if (a->flags & ~model_gmem_flags(vm))
		return -EINVAL;
	if ((s64)a->size <= 0 || a->size % PG)
		return -EINVAL;
	return 0;
}

static bool overlap(u64 a, u64 alen, u64 b, u64 blen)
{
	return a < b + blen && b < a + alen;
}

static int file_of_fd(u32 fd)
{
	for (int i = 0; i < NR_FILES; i++)
		if (files[i].fd >= 0 && (u32)files[i].fd == fd)
			return i;
	return -1;
}

static long model_bind(int vm, const struct kvm_userspace_memory_region2 *r, int *ret_file)
{
	int f = file_of_fd(r->guest_memfd);
	const u64 off = r->guest_memfd_offset, size = r->memory_size;

	if (f < 0)
		return fcntl((int)r->guest_memfd, F_GETFD) < 0 ? -EBADF : -EINVAL;
	if (files[f].vm != vm)
		return -EINVAL;
	if (profile->signed_offset_bug) {
		if ((s64)off < 0 || (s64)(off + size) > (s64)files[f].size)
			return -EINVAL;
	} else if (off + size > files[f].size) {
		return -EINVAL;
	}
	for (int as = 0; as < 2; as++)
		for (int i = 0; i < NR_SLOTS; i++)
			if (slots[vm][as][i].used && slots[vm][as][i].file == f &&
			    overlap(off, size, slots[vm][as][i].off, slots[vm][as][i].size))
				return -profile->bind_conflict_errno;
	*ret_file = f;
	return 0;
}

static long model_region(int vm, const struct kvm_userspace_memory_region2 *r, int version)
{
	const bool has_private = type_private(vm_type[vm]);
	const u64 size = r->memory_size, gpa = r->guest_phys_addr, hva = r->userspace_addr;
	const unsigned as = r->slot >> 16, id = r->slot & 0xffff;
	u32 allowed = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;
	const bool gmem = r->flags & KVM_MEM_GUEST_MEMFD;
	struct model_slot *s;
	int file = -1;
	long ret;

	if (version == 2 && !profile->has_gmem)
		return -ENOTTY;
	if (version == 1 && r->flags & ~allowed)
		return -EINVAL;
	if (id >= 32764)
		return -EINVAL;
	if (profile->has_gmem && (has_private || profile->gmem_for_all_types))
		allowed |= KVM_MEM_GUEST_MEMFD;
	if (gmem)
		allowed &= ~(u32)(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY);
	if (r->flags & ~allowed)
		return -EINVAL;
	if (size % PG || gpa % PG || hva % PG)
		return -EINVAL;
	/* Any non-negative end was a user address from 6.4 to 6.11. */
	if (profile->hva_sign_only ? (s64)(hva + size) < 0 || hva + size < hva :
				     hva + size < hva || hva > sys.shape.hva_limit || hva + size > sys.shape.hva_limit)
		return -EINVAL;
	if (gmem && (r->guest_memfd_offset % PG || r->guest_memfd_offset + size < r->guest_memfd_offset))
		return -EINVAL;
	if (as >= (has_private ? 1 : 2))
		return -EINVAL;
	if (gpa + size < gpa || size / PG > 0x7fffffff)
		return -EINVAL;
	/* Requests for slots that the model does not hold are not made. */
	s = &slots[vm][as][id];
	if (!size) {
		if (!s->used)
			return -EINVAL;
		*s = (struct model_slot){ 0 };
		return 0;
	}
	if (s->used) {
		if (gmem || hva != s->hva || size != s->size ||
		    (r->flags ^ s->flags) & (KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD))
			return -EINVAL;
		if (gpa == s->gpa) {
			s->flags = r->flags;
			return 0;
		}
	}
	for (int i = 0; i < NR_SLOTS; i++)
		if (slots[vm][as][i].used && &slots[vm][as][i] != s &&
		    overlap(gpa, size, slots[vm][as][i].gpa, slots[vm][as][i].size))
			return -EEXIST;
	/* In-place kernels prepare the slot before they look for a conflict in the file. */
	ret = gmem ? model_bind(vm, r, &file) : 0;
	if (gpa + size > 1ULL << sys.shape.gpa_bits && (!ret || (profile->bind_checked_late && ret == -EEXIST)))
		return -EINVAL;
	if (ret)
		return ret;
	*s = (struct model_slot){ .used = true, .gpa = gpa, .size = size, .hva = hva, .flags = r->flags, .file = file,
				  .off = gmem ? r->guest_memfd_offset : 0 };
	return 0;
}

static long model_vm_attributes(int vm, const struct kvm_memory_attributes *a)
{
	const u64 supported = type_private(vm_type[vm]) && !sys.in_place ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;

	if (!profile->has_gmem || !profile->vm_attributes)
		return -ENOTTY;
	if (a->flags || a->attributes & ~supported)
		return -EINVAL;
	if (!a->size || a->address + a->size <= a->address || a->address % PG || a->size % PG)
		return -EINVAL;
	return 0;
}

static long model_convert(int f, const struct kvm_memory_attributes2 *a)
{
	if (!sys.in_place)
		return -ENOTTY;
	if (a->flags)
		return -EINVAL;
	for (size_t i = 0; i < RT_ARRAY_SIZE(a->reserved); i++)
		if (a->reserved[i])
			return -EINVAL;
	if (!type_private(vm_type[files[f].vm]) || a->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE)
		return -EINVAL;
	if (!a->size || a->offset + a->size < a->offset || a->offset % PG || a->size % PG)
		return -EINVAL;
	if (a->offset >= files[f].size || a->offset + a->size > files[f].size)
		return -EINVAL;
	for (u64 p = a->offset / PG; p < (a->offset + a->size) / PG; p++)
		files[f].private[p] = a->attributes;
	return 0;
}

/* --- calls -------------------------------------------------------------------------- */

static bool complain(const char *what, long got, long want)
{
	if (!said[0])
		snprintf(said, sizeof(said), "%s: %ld, the model says %ld", what, got, want);
	return false;
}

/* The call on whatever fd stands for; the structure lies at the edge of a mapping and is compared afterwards. */
static long make_call(int fd, u32 cmd, void *arg, size_t size, u64 by_value)
{
	struct core_err err;
	char before[256];
	long ret;

	if (arg)
		memcpy(before, arg, size);
	ret = device_request(fd, cmd, arg ? (u64)(uintptr_t)arg : by_value, &err);
	calls_made++;
	if (arg && memcmp(before, arg, size))
		complain("argument changed", (long)cmd, 0);
	if (ret >= 0 && err.rule != RULE_NONE)
		complain("a rule for a call that succeeded", (long)cmd, err.rule);
	if ((ret == -EINVAL || ret == -EEXIST) && err.rule == RULE_NONE)
		complain("a refusal without rule", (long)cmd, ret);
	return ret;
}

static bool compare(const char *what, long got, long want)
{
	return got == want || complain(what, got, want);
}

static int pick_file(void)
{
	int start = (int)below(NR_FILES);

	for (int i = 0; i < NR_FILES; i++)
		if (files[(start + i) % NR_FILES].fd >= 0)
			return (start + i) % NR_FILES;
	return -1;
}

static void do_create(void)
{
	struct kvm_create_guest_memfd *a = (void *)(edge + PG - sizeof(*a));
	int vm = (int)below(NR_VMS), f = 0;
	long want, got;

	while (f < NR_FILES && files[f].fd >= 0)
		f++;
	*a = (struct kvm_create_guest_memfd){ .size = one_in(6) ? odd_value() : (1 + below(MAX_PAGES)) * PG,
					      .flags = one_in(8) ? odd_value() : below(4) };
	a->reserved[below(6)] = odd_value();
	want = model_create(vm, a);
	/* Right but more than the model holds. */
	if (!want && (f == NR_FILES || a->size > MAX_PAGES * PG))
		return;
	got = make_call(vm_fd[vm], KVM_CREATE_GUEST_MEMFD, a, sizeof(*a), 0);
	if (!compare("KVM_CREATE_GUEST_MEMFD", got < 0 ? got : 0, want) || want)
		return;
	files[f] = (struct model_file){ .fd = (int)got, .vm = vm, .size = a->size, .flags = a->flags };
	memset(files[f].bytes, 0, sizeof(files[f].bytes));
	memset(files[f].private, !(a->flags & GUEST_MEMFD_FLAG_INIT_SHARED), sizeof(files[f].private));
}

#include "tests/fuzz_ioctl_views.h"

static void do_close(void)
{
	int f = pick_file();

	if (f < 0)
		return;
	for (int i = 0; i < NR_VIEWS; i++)
		if (views[i].at && views[i].file == f)
			drop_view(&views[i], 0, views[i].pages);
	close(files[f].fd);
	dev_reap();
	/* The slots stay where they are. */
	for (int as = 0; as < 2; as++)
		for (int i = 0; i < NR_SLOTS; i++)
			if (slots[files[f].vm][as][i].file == f)
				slots[files[f].vm][as][i].file = -1;
	files[f].fd = -1;
}

static void do_region(void)
{
	const int version = 1 + !one_in(4), vm = (int)below(NR_VMS), f = pick_file();
	const size_t size = version == 1 ? 32 : 160;
	struct kvm_userspace_memory_region2 r = { 0 };
	u32 as = one_in(6) ? 1 : 0, id = (u32)below(NR_SLOTS);
	void *arg = edge + PG - size;
	const struct model_slot *s = &slots[vm][as][id];

	if (one_in(20))
		id = 32764 + (u32)below(1000);
	else if (one_in(20))
		as = 2 + (u32)below(1000);
	r.slot = id | as << 16;
	if (s->used && id < NR_SLOTS && as < 2 && one_in(2)) {
		/* A change of what is there. */
		r.flags = s->flags;
		r.guest_phys_addr = s->gpa;
		r.memory_size = s->size;
		r.userspace_addr = s->hva;
		switch (below(6)) {
		case 0: r.memory_size = 0; break;
		case 1: r.guest_phys_addr = pages_value(64); break;
		case 2: r.flags ^= 1U << below(4); break;
		case 3: r.userspace_addr = pages_value(64); break;
		case 4: r.memory_size = pages_value(64); break;
		}
	} else {
		r.flags = one_in(8) ? (u32)odd_value() : one_in(2) ? KVM_MEM_GUEST_MEMFD : (u32)below(4);
		r.guest_phys_addr = pages_value(64);
		r.memory_size = one_in(10) ? odd_value() : below(10) * PG;
		r.userspace_addr = one_in(3) ? 0 : pages_value(1 << 20);
	}
	r.guest_memfd_offset = pages_value(MAX_PAGES);
	r.guest_memfd = f >= 0 && !one_in(8) ? (u32)files[f].fd : one_in(2) ? (u32)kvm_fd : (u32)odd_value();
	if (version == 1) {
		r.guest_memfd_offset = 0;
		r.guest_memfd = 0;
	} else {
		r.pad1 = (u32)rnd();
		r.pad2[below(14)] = rnd();
	}
	memcpy(arg, &r, size);
	{
		long got = make_call(vm_fd[vm], version == 1 ? KVM_SET_USER_MEMORY_REGION : KVM_SET_USER_MEMORY_REGION2,
				     arg, size, 0);

		compare(version == 1 ? "KVM_SET_USER_MEMORY_REGION" : "KVM_SET_USER_MEMORY_REGION2", got,
			model_region(vm, &r, version));
	}
}

static void do_vm_attributes(void)
{
	struct kvm_memory_attributes *a = (void *)(edge + PG - sizeof(*a));
	const int vm = (int)below(NR_VMS);

	*a = (struct kvm_memory_attributes){ .address = pages_value(4096), .size = pages_value(256),
					     .attributes = one_in(8) ? odd_value() : 8 * below(2),
					     .flags = one_in(12) ? odd_value() : 0 };
	/* A span of 1 << 51 pages is legal, and slow in the kernel's way. */
	if (a->size > 1ULL << 40 && a->size < 1ULL << 63)
		a->size = PG;
	compare("KVM_SET_MEMORY_ATTRIBUTES", make_call(vm_fd[vm], KVM_SET_MEMORY_ATTRIBUTES, a, sizeof(*a), 0),
		model_vm_attributes(vm, a));
}

static void do_convert(void)
{
	struct kvm_memory_attributes2 *a = (void *)(edge + PG - sizeof(*a));
	const int f = pick_file();

	if (f < 0)
		return;
	*a = (struct kvm_memory_attributes2){ .offset = pages_value(MAX_PAGES), .size = pages_value(16),
					      .attributes = one_in(12) ? odd_value() : 8 * below(2),
					      .flags = one_in(16) ? odd_value() : 0, .error_offset = rnd() };
	if (one_in(16))
		a->reserved[below(11)] = odd_value();
	compare("KVM_SET_MEMORY_ATTRIBUTES2", make_call(files[f].fd, KVM_SET_MEMORY_ATTRIBUTES2, a, sizeof(*a), 0),
		model_convert(f, a));
}

/* Commands that nobody knows, and pointers that nobody can read. */
static void do_nonsense(void)
{
	static const u32 known[] = { KVM_CREATE_GUEST_MEMFD, KVM_SET_USER_MEMORY_REGION, KVM_SET_USER_MEMORY_REGION2,
				     KVM_ENABLE_CAP, KVM_GET_DIRTY_LOG };
	const int vm = (int)below(NR_VMS), f = pick_file();
	const u32 cmd = known[below(RT_ARRAY_SIZE(known))];
	const bool v68 = cmd == KVM_CREATE_GUEST_MEMFD || cmd == KVM_SET_USER_MEMORY_REGION2;
	const u32 size = cmd >> 16 & 0x3fff;
	u64 bad = one_in(3) ? 8 : one_in(2) ? (u64)(uintptr_t)edge + PG - 1 - below(size - 1) : 1ULL << 63 | rnd();

	compare("a bad pointer", make_call(vm_fd[vm], cmd, NULL, 0, bad), v68 && !profile->has_gmem ? -ENOTTY : -EFAULT);
	compare("an unknown ioctl of the VM", make_call(vm_fd[vm], cmd ^ 0x00100000, NULL, 0, bad), -ENOTTY);
	compare("a VM's ioctl on the device", make_call(kvm_fd, cmd, NULL, 0, bad), -EINVAL);
	if (f >= 0)
		compare("a VM's ioctl on a file", make_call(files[f].fd, cmd, NULL, 0, bad), -ENOTTY);
	/* The capability of creation flags is literally the mask that is accepted. */
	compare("KVM_CAP_GUEST_MEMFD_FLAGS", make_call(vm_fd[vm], KVM_CHECK_EXTENSION, NULL, 0, 244),
		(long)model_gmem_flags(vm));
	{
		long got = make_call(one_in(2) ? kvm_fd : vm_fd[vm], KVM_CHECK_EXTENSION, NULL, 0, odd_value());

		if (got < 0)
			complain("KVM_CHECK_EXTENSION", got, 0);
	}
}

static void compare_pages(void)
{
	for (int f = 0; f < NR_FILES; f++) {
		struct dev_object *obj = files[f].fd < 0 ? NULL : device_object(files[f].fd);

		if (files[f].fd < 0)
			continue;
		if (!obj) {
			complain("a file was lost", f, 0);
			return;
		}
		for (u64 p = 0; p < files[f].size / PG; p++) {
			bool private = core_file_page_state(&((struct dev_gmem *)obj)->core, p) == CORE_PAGE_PRIVATE;

			if (private != files[f].private[p])
				complain("state of a page", private, files[f].private[p]);
		}
		dev_put(obj);
	}
}

/* What the overlay's handler does about pointers that cannot be read. */
static void on_fault(int sig, siginfo_t *info, void *ctx)
{
	u64 rip = (u64)((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP];
	struct host_fault fault;

	if (!rt_user_fixup(&rip)) {
		host_fault(sig, info->si_code, info->si_addr, &fault);
		if (fault.kind == HOST_FAULT_BUS && touching)
			siglongjmp(touch_jmp, 1);
		if (fault.kind != HOST_FAULT_RETRY)
			signal(sig, SIG_DFL);
		return;
	}
	((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP] = (greg_t)rip;
}

/* The n-th of those that this host can run, counted round. */
static const char *nth_engine(unsigned n)
{
	const char *const *names = host_engine_names();
	const char *usable[8];
	unsigned count = 0;

	for (; *names && count < RT_ARRAY_SIZE(usable); names++)
		if (host_engine_runs(*names))
			usable[count++] = *names;
	return count ? usable[n % count] : NULL;
}

/* One profile, in a process of its own: dev_init() works once.  Exit status 0 when all agreed. */
static int run_profile(int in_place, u64 first_seed, double seconds, unsigned turn)
{
	struct dev_config config = { 0 };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	double until = now() + seconds;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	if (core_sys_init(&config.sys, profile, &core_shape_mainline, 0, in_place) < 0)
		return 2;
	sys = config.sys;
	host_fd_init();
	if (dev_init(&config) || host_init(nth_engine(turn)))
		return 2;
	seed = first_seed;
	edge = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(edge + PG, PG, PROT_NONE);
	kvm_fd = dev_open(O_RDWR | O_CLOEXEC);
	for (int i = 0; i < NR_VMS; i++) {
		vm_type[i] = profile->has_private_types ? (unsigned)i : 0;
		vm_fd[i] = (int)make_call(kvm_fd, KVM_CREATE_VM, NULL, 0, vm_type[i]);
	}
	for (int i = 0; i < NR_FILES; i++)
		files[i].fd = -1;
	memset(slots, 0, sizeof(slots));
	for (int vm = 0; vm < NR_VMS; vm++)
		for (int as = 0; as < 2; as++)
			for (int i = 0; i < NR_SLOTS; i++)
				slots[vm][as][i].file = -1;
	for (u64 round = 1; !said[0] && (round % 64 || now() < until); round++) {
		static void (*const acts[])(void) = { do_create, do_region, do_region, do_region, do_convert, do_convert,
						      do_vm_attributes, do_nonsense, do_map, do_unmap, do_touch, do_touch,
						      do_touch, do_punch };

		if (one_in(40))
			do_close();
		else
			acts[below(RT_ARRAY_SIZE(acts))]();
		compare_pages();
		if (round % AUDIT_EVERY == 0)
			audit_views();
	}
	if (said[0])
		diag("%s", said);
	diag("%llu calls", (unsigned long long)calls_made);
	return said[0] != 0;
}

int main(int argc, char **argv)
{
	u64 first_seed = (u64)(now() * 1e6) | 1;
	double seconds = 4;
	unsigned runs = core_profile_count;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = atof(argv[i + 1]);
		else if (!strcmp(argv[i], "--seed"))
			first_seed = strtoull(argv[i + 1], NULL, 0);
	}
	for (unsigned i = 0; i < core_profile_count; i++)
		runs += core_profiles[i].in_place_param;
	diag("seed %llu", (unsigned long long)first_seed);
	for (unsigned i = 0; i < core_profile_count; i++) {
		profile = &core_profiles[i];
		for (int in_place = -1; in_place < (profile->in_place_param ? 2 : 0); in_place += 2) {
			int status;
			pid_t pid;

			fflush(stdout);
			pid = fork();
			if (!pid) {
				int ret = run_profile(in_place, first_seed + i, seconds / runs, (unsigned)first_seed + i);

				fflush(stdout);
				exit(ret); /* not _exit(): what gcov has counted is written */
			}
			waitpid(pid, &status, 0);
			is(status, 0, "%s%s agrees with the model", profile->name, in_place < 0 ? "" : ", switched");
		}
	}
	return done_testing();
}
