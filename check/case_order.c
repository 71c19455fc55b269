// SPDX-License-Identifier: MIT
/*
 * check/case_order.c - simultaneous errors: for each call the violations that it can meet, in the order of its checks
 */
#include <linux/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "check/order.h"

#define SIZE (16 * PG)
#define RW   (PROT_READ | PROT_WRITE)

static int kvm, vm, file, other_file;
static char *area;
static struct rlimit no_fds, fds;

static void begin(unsigned type)
{
	kvm = kvm_open();
	vm = vm_new(kvm, type);
	area = map_anon(SIZE);
	getrlimit(RLIMIT_NOFILE, &fds);
	no_fds = fds;
	no_fds.rlim_cur = 0;
}

#define RUN(violations_, type, ...)                                                                                    \
	check_order(&(const struct order){ .violations = violations_,                                                  \
					   .count = sizeof(violations_) / sizeof(*violations_),                        \
					   .size = sizeof(type),                                                       \
					   __VA_ARGS__ })

/* --- objects: device and VM -------------------------------------------------------- */

struct object {
	unsigned long arg;
	bool no_fd;
	struct kvm_create_guest_memfd create;
	void *pointer;
};

VIOLATION(struct object, no_fd, r->no_fd = true)
VIOLATION(struct object, bad_type, r->arg = 33)
VIOLATION(struct object, huge_id, r->arg = 1UL << 31)
VIOLATION(struct object, taken_id, r->arg = 3)
VIOLATION(struct object, bad_pointer, r->pointer = BAD_PTR)
VIOLATION(struct object, bad_flags, r->create.flags = 1ULL << 40)
VIOLATION(struct object, size_zero, r->create.size = 0)
VIOLATION(struct object, size_odd, r->create.size++)

static void right_object(void *request)
{
	*(struct object *)request = (struct object){ .create = { .size = PG } };
}

static long make_object(struct object *r, int fd, unsigned long cmd, unsigned long arg)
{
	long ret;

	if (r->no_fd)
		setrlimit(RLIMIT_NOFILE, &no_fds);
	ret = RET(ioctl(fd, cmd, arg));
	setrlimit(RLIMIT_NOFILE, &fds);
	if (ret >= 0)
		close((int)ret);
	return ret < 0 ? ret : 0;
}

static long make_vm(void *request)
{
	return make_object(request, kvm, KVM_CREATE_VM, ((struct object *)request)->arg);
}

static long make_vcpu(void *request)
{
	return make_object(request, vm, KVM_CREATE_VCPU, ((struct object *)request)->arg);
}

static long make_file(void *request)
{
	struct object *r = request;

	return make_object(r, vm, KVM_CREATE_GUEST_MEMFD, (uintptr_t)(r->pointer ? r->pointer : &r->create));
}

void case_ioctl_order(void)
{
	static const struct violation of_vm[] = { { "no descriptor", no_fd, EMFILE, 0 },
						  { "VM type", bad_type, EINVAL, 0 } };
	static const struct violation of_vcpu[] = {
		{ "vCPU id too large", huge_id, EINVAL, 1 },
		{ "vCPU id taken", taken_id, EEXIST, 1 },
		{ "no descriptor", no_fd, EMFILE, 0 },
	};

	begin(0);
	RUN(of_vm, struct object, .right = right_object, .attempt = make_vm);
	if (ioctl(vm, KVM_CREATE_VCPU, 3) < 0)
		die("vCPU 3");
	RUN(of_vcpu, struct object, .right = right_object, .attempt = make_vcpu);
}

void case_create_order(void)
{
	static const struct violation of_file[] = {
		{ "bad pointer", bad_pointer, EFAULT, 0 },    { "flags", bad_flags, EINVAL, 0 },
		{ "size unaligned", size_odd, EINVAL, 0 },    { "size 0", size_zero, EINVAL, 0 },
		{ "no descriptor", no_fd, EMFILE, 0 },
	};

	begin(0);
	SEE(RET(ioctl(vm, KVM_CREATE_GUEST_MEMFD, at_edge(63))), -EFAULT, "a byte beyond the edge of a mapping");
	RUN(of_file, struct object, .right = right_object, .attempt = make_file);
	SEE(MADE(gmem_try(vm, PG, 0)), 0, "right");
}

/* --- calls on a file ---------------------------------------------------------------- */

struct file_range {
	int fd, mode;
	off_t offset, len;
};

enum { F_FD = 1, F_MODE = 2, F_OFFSET = 4, F_LEN = 8 };

VIOLATION(struct file_range, closed, r->fd = -1)
VIOLATION(struct file_range, before_start, r->offset -= 64 * PG)
VIOLATION(struct file_range, no_len, r->len = 0)
VIOLATION(struct file_range, negative_len, r->len = -(off_t)PG)
VIOLATION(struct file_range, unknown_mode, r->mode = 0x401)
VIOLATION(struct file_range, punch_alone, r->mode = FALLOC_FL_PUNCH_HOLE)
VIOLATION(struct file_range, two_operations, r->mode = FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE)
VIOLATION(struct file_range, collapse_keep, r->mode = FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE)
VIOLATION(struct file_range, overflows, r->offset += (off_t)CLAMP63)
VIOLATION(struct file_range, other_operation, r->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)
VIOLATION(struct file_range, grows, r->mode = 0)
VIOLATION(struct file_range, odd_offset, r->offset++)
VIOLATION(struct file_range, odd_len, r->len++)
VIOLATION(struct file_range, beyond_end, r->offset += (off_t)SIZE)

static const struct violation of_fallocate[] = {
	{ "no file", closed, EBADF, F_FD },
	{ "offset below 0", before_start, EINVAL, F_OFFSET },
	{ "len 0", no_len, EINVAL, F_LEN },
	{ "len below 0", negative_len, EINVAL, F_LEN },
	{ "unknown mode", unknown_mode, EOPNOTSUPP, F_MODE },
	{ "a hole without KEEP_SIZE", punch_alone, EOPNOTSUPP, F_MODE },
	{ "two operations", two_operations, EOPNOTSUPP, F_MODE },
	{ "COLLAPSE with KEEP_SIZE", collapse_keep, EOPNOTSUPP, F_MODE },
	{ "overflow", overflows, EFBIG, F_OFFSET },
	{ "operation of other files", other_operation, EOPNOTSUPP, F_MODE },
	{ "no KEEP_SIZE", grows, EOPNOTSUPP, F_MODE },
	{ "offset unaligned", odd_offset, EINVAL, 0 },
	{ "len unaligned", odd_len, EINVAL, F_LEN },
	{ "beyond the end", beyond_end, EINVAL, F_OFFSET },
};

static void right_range(void *request)
{
	*(struct file_range *)request = (struct file_range){ .fd = file, .mode = FALLOC_FL_KEEP_SIZE, .len = PG };
}

static long try_fallocate(void *request)
{
	struct file_range *r = request;

	return RET(fallocate(r->fd, r->mode, r->offset, r->len));
}

static int fallocate_error(const struct traits *k, const struct violation *v)
{
	return k->modes_by_flag && (v->make == two_operations || v->make == collapse_keep) ? EINVAL : v->error;
}

void case_file_order(void)
{
	begin(0);
	file = gmem_new(vm, SIZE, 0);
	RUN(of_fallocate, struct file_range, .right = right_range, .attempt = try_fallocate, .error = fallocate_error);
}

/* --- mmap ---------------------------------------------------------------------------- */

struct mapping {
	void *at;
	int fd, prot, type, flags;
	uint64_t len, offset;
};

enum { M_FD = 1, M_TYPE = 2, M_OFFSET = 4, M_LEN = 8, M_AT = 16, M_FLAG = 32, M_PROT = 64 };

VIOLATION(struct mapping, map_odd_offset, r->offset++)
VIOLATION(struct mapping, map_no_fd, r->fd = -1)
VIOLATION(struct mapping, map_huge, r->flags |= MAP_HUGETLB)
VIOLATION(struct mapping, map_nothing, r->len = 0)
VIOLATION(struct mapping, map_too_much, r->len = -PG)
VIOLATION(struct mapping, map_at_odd, r->at = area + 1; r->flags |= MAP_FIXED)
VIOLATION(struct mapping, map_taken, r->at = area; r->flags |= MAP_FIXED_NOREPLACE)
VIOLATION(struct mapping, map_beyond, r->offset = CLAMP63)
VIOLATION(struct mapping, map_type, r->type = 4)
VIOLATION(struct mapping, map_sync, r->type = MAP_SHARED_VALIDATE | MAP_SYNC)
VIOLATION(struct mapping, map_exec, r->prot |= PROT_EXEC)
VIOLATION(struct mapping, map_down, r->flags |= MAP_GROWSDOWN)
VIOLATION(struct mapping, map_plain, r->fd = file)
VIOLATION(struct mapping, map_private, r->type = MAP_PRIVATE)

static const struct violation of_mmap[] = {
	{ "offset unaligned", map_odd_offset, EINVAL, 0 },
	{ "no file", map_no_fd, EBADF, M_FD },
	{ "MAP_HUGETLB", map_huge, EINVAL, 0 },
	{ "length 0", map_nothing, EINVAL, M_LEN },
	{ "length -4096", map_too_much, ENOMEM, M_LEN },
	{ "address unaligned", map_at_odd, EINVAL, M_AT },
	{ "address taken", map_taken, EEXIST, M_AT },
	{ "offset beyond 2^63", map_beyond, EOVERFLOW, M_OFFSET },
	{ "type 4", map_type, EINVAL, M_TYPE },
	{ "MAP_SYNC", map_sync, EOPNOTSUPP, M_TYPE },
	{ "PROT_EXEC", map_exec, EPERM, M_PROT },
	{ "MAP_GROWSDOWN", map_down, EINVAL, 0 },
	{ "file without MMAP", map_plain, ENODEV, M_FD },
	{ "MAP_PRIVATE", map_private, EINVAL, M_TYPE },
};

static void right_mapping(void *request)
{
	*(struct mapping *)request = (struct mapping){ .fd = other_file, .prot = RW, .type = MAP_SHARED, .len = PG };
}

/* The system call itself: libc refuses some arguments before it. */
static long try_mapping(void *request)
{
	struct mapping *r = request;
	long ret = RET(syscall(SYS_mmap, r->at, r->len, r->prot, r->type | r->flags, r->fd, r->offset));

	trace_note(ret, "mmap(%p, %#llx, %#x, %#x, %d, %#llx)", r->at, (long long)r->len, (unsigned)r->prot,
		   (unsigned)(r->type | r->flags), r->fd, (long long)r->offset);
	if (ret < 0 && ret > -4096)
		return ret;
	munmap((void *)ret, r->len);
	return 0;
}

/* Where files cannot be mapped, that is all there is to say once it is one. */
static int mapping_error(const struct traits *k, const struct violation *v)
{
	bool late = v->make == map_exec || v->make == map_down || v->make == map_plain || v->make == map_private;

	return late && !k->mappable ? ENODEV : v->error;
}

void case_map_order(void)
{
	begin(0);
	file = gmem_new(vm, SIZE, 0);
	other_file = gmem_try(vm, SIZE, GUEST_MEMFD_FLAG_MMAP);
	if (other_file < 0)
		other_file = file;
	RUN(of_mmap, struct mapping, .right = right_mapping, .attempt = try_mapping, .error = mapping_error);
}

/* --- memory calls on a mapping -------------------------------------------------------- */

struct memory {
	char *at;
	size_t len;
	int what; /* protection or advice */
};

enum { P_WHAT = 1, P_LEN = 2, P_AT = 4 };

VIOLATION(struct memory, both_ways, r->what |= PROT_GROWSDOWN | PROT_GROWSUP)
VIOLATION(struct memory, at_odd, r->at++)
VIOLATION(struct memory, wraps_round, r->len = (size_t)-PG - (uintptr_t)r->at + PG)
VIOLATION(struct memory, unknown_prot, r->what |= 0x100)
VIOLATION(struct memory, nothing_there, r->at += 2 * SIZE)
VIOLATION(struct memory, executable, r->what |= PROT_EXEC)
VIOLATION(struct memory, unknown_advice, r->what = 77)
VIOLATION(struct memory, locked_pages, r->at += SIZE)

static void right_memory(void *request)
{
	*(struct memory *)request = (struct memory){ .at = area, .len = PG, .what = RW };
}

static long try_mprotect(void *request)
{
	struct memory *r = request;

	return RET(mprotect(r->at, r->len, r->what));
}

static void right_advice(void *request)
{
	*(struct memory *)request = (struct memory){ .at = area, .len = PG, .what = MADV_DONTNEED };
}

static long try_madvise(void *request)
{
	struct memory *r = request;

	return RET(madvise(r->at, r->len, r->what));
}

void case_memory_order(void)
{
	static const struct violation of_mprotect[] = {
		{ "grows both ways", both_ways, EINVAL, P_WHAT },
		{ "address unaligned", at_odd, EINVAL, 0 },
		{ "the end wraps", wraps_round, ENOMEM, P_LEN | P_AT },
		{ "unknown protection", unknown_prot, EINVAL, P_WHAT },
		{ "nothing there", nothing_there, ENOMEM, P_AT },
		{ "executable", executable, EACCES, P_WHAT },
	};
	static const struct violation of_madvise[] = {
		{ "unknown advice", unknown_advice, EINVAL, P_WHAT },
		{ "address unaligned", at_odd, EINVAL, 0 },
		{ "locked", locked_pages, EINVAL, P_AT },
		{ "nothing there", nothing_there, ENOMEM, P_AT },
	};
	char *room;

	begin(0);
	/* The file, the same once more and locked, and nothing. */
	room = map_anon(3 * SIZE);
	munmap(room + 2 * SIZE, SIZE);
	file = gmem_new(vm, SIZE, SHAREABLE);
	for (int i = 0; i < 2; i++)
		if (mmap(room + i * (long)SIZE, SIZE, RW, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
			die("mmap");
	area = room;
	if (mlock(room + SIZE, SIZE))
		die("mlock");
	RUN(of_mprotect, struct memory, .right = right_memory, .attempt = try_mprotect);
	RUN(of_madvise, struct memory, .right = right_advice, .attempt = try_madvise);
}

/* --- memslots ------------------------------------------------------------------------ */

struct slot {
	struct kvm_userspace_memory_region2 region;
	void *pointer;
	bool v1;
};

static int foreign;

enum { S_SLOT = 1, S_FLAGS = 2, S_GPA = 4, S_FD = 8, S_OFFSET = 16, S_SIZE = 32, S_HVA = 64 };

VIOLATION(struct slot, slot_pointer, r->pointer = BAD_PTR)
VIOLATION(struct slot, slot_flag, r->region.flags |= 8)
VIOLATION(struct slot, slot_id, r->region.slot |= 32764)
VIOLATION(struct slot, slot_dirty, r->region.flags |= KVM_MEM_LOG_DIRTY_PAGES)
VIOLATION(struct slot, slot_read_only, r->region.flags |= KVM_MEM_READONLY)
VIOLATION(struct slot, slot_odd_size, r->region.memory_size++)
VIOLATION(struct slot, slot_odd_gpa, r->region.guest_phys_addr++)
VIOLATION(struct slot, slot_odd_hva, r->region.userspace_addr++)
VIOLATION(struct slot, slot_kernel_hva, r->region.userspace_addr = (uintptr_t)KERNEL_PTR)
VIOLATION(struct slot, slot_odd_offset, r->region.guest_memfd_offset++)
VIOLATION(struct slot, slot_offset_wraps, r->region.guest_memfd_offset = -PG)
VIOLATION(struct slot, slot_space, r->region.slot |= 5 << 16)
VIOLATION(struct slot, slot_gpa_wraps, r->region.guest_phys_addr = -PG)
VIOLATION(struct slot, slot_pages, r->region.memory_size = PG << 31; r->region.userspace_addr = 0)
VIOLATION(struct slot, slot_exists, r->region.slot = 7)
VIOLATION(struct slot, slot_gpa_meets, r->region.guest_phys_addr = 2 * GiB)
VIOLATION(struct slot, slot_no_fd, r->region.guest_memfd = -1U)
VIOLATION(struct slot, slot_fd_of_vm, r->region.guest_memfd = (uint32_t)vm)
VIOLATION(struct slot, slot_foreign, r->region.guest_memfd = (uint32_t)foreign)
VIOLATION(struct slot, slot_beyond, r->region.guest_memfd_offset += SIZE)
VIOLATION(struct slot, slot_negative, r->region.guest_memfd_offset += 1ULL << 63)
VIOLATION(struct slot, slot_bound, r->region.guest_memfd_offset += 8 * PG)
VIOLATION(struct slot, slot_gpa_limit, r->region.guest_phys_addr = 1ULL << 53)

static const struct violation of_slots[] = {
	{ "bad pointer", slot_pointer, EFAULT, 0 },
	{ "unknown flag", slot_flag, EINVAL, S_FLAGS },
	{ "slot id", slot_id, EINVAL, S_SLOT },
	{ "size unaligned", slot_odd_size, EINVAL, 0 },
	{ "gpa unaligned", slot_odd_gpa, EINVAL, 0 },
	{ "hva unaligned", slot_odd_hva, EINVAL, 0 },
	{ "hva in the kernel", slot_kernel_hva, EINVAL, S_HVA },
	{ "address space", slot_space, EINVAL, S_SLOT },
	{ "gpa wraps", slot_gpa_wraps, EINVAL, S_GPA },
	{ "2^31 pages", slot_pages, EINVAL, S_SIZE | S_HVA },
	{ "slot of another size", slot_exists, EINVAL, S_SLOT },
	{ "gpa of another slot", slot_gpa_meets, EEXIST, S_GPA },
	{ "gpa too large", slot_gpa_limit, EINVAL, S_GPA },
};

static void right_slot(void *request)
{
	*(struct slot *)request = (struct slot){ .v1 = true,
						 .region = { .slot = 1,
							     .guest_phys_addr = GiB,
							     .memory_size = PG,
							     .userspace_addr = (uintptr_t)area } };
}

static void right_slot2(void *request)
{
	right_slot(request);
	((struct slot *)request)->v1 = false;
}

/* The first fields of both structures are the same.  A slot that came to be goes again. */
static long try_slot(void *request)
{
	struct slot *r = request;
	long ret = RET(ioctl(vm, r->v1 ? KVM_SET_USER_MEMORY_REGION : KVM_SET_USER_MEMORY_REGION2,
			     r->pointer ? r->pointer : &r->region));

	if (!ret)
		set_region1(vm, r->region.slot, 0, 0, 0, 0);
	return ret;
}

static int v2_error(const struct traits *k, const struct violation *v)
{
	return k->gmem ? v->error : ENOTTY;
}

void case_slot_order(void)
{
	begin(0);
	if (set_region1(vm, 7, 0, 2 * GiB, 2 * PG, (uintptr_t)area))
		die("slot 7");
	RUN(of_slots, struct slot, .right = right_slot, .attempt = try_slot);
	RUN(of_slots, struct slot, .right = right_slot2, .attempt = try_slot, .error = v2_error);
}

static const struct violation of_bindings[] = {
	{ "bad pointer", slot_pointer, EFAULT, 0 },
	{ "slot id", slot_id, EINVAL, S_SLOT },
	{ "dirty log", slot_dirty, EINVAL, S_FLAGS },
	{ "read only", slot_read_only, EINVAL, S_FLAGS },
	{ "size unaligned", slot_odd_size, EINVAL, 0 },
	{ "gpa unaligned", slot_odd_gpa, EINVAL, 0 },
	{ "hva unaligned", slot_odd_hva, EINVAL, 0 },
	{ "hva in the kernel", slot_kernel_hva, EINVAL, S_HVA },
	{ "offset unaligned", slot_odd_offset, EINVAL, 0 },
	{ "offset wraps", slot_offset_wraps, EINVAL, S_OFFSET },
	{ "address space", slot_space, EINVAL, S_SLOT },
	{ "gpa wraps", slot_gpa_wraps, EINVAL, S_GPA },
	{ "2^31 pages", slot_pages, EINVAL, S_SIZE | S_HVA },
	{ "a slot that exists", slot_exists, EINVAL, S_SLOT },
	{ "gpa of another slot", slot_gpa_meets, EEXIST, S_GPA },
	{ "no descriptor", slot_no_fd, EBADF, S_FD },
	{ "descriptor of a VM", slot_fd_of_vm, EINVAL, S_FD },
	{ "file of another VM", slot_foreign, EINVAL, S_FD },
	{ "offset below 0", slot_negative, EINVAL, S_OFFSET },
	{ "offset beyond the end", slot_beyond, EINVAL, S_OFFSET },
	{ "range bound already", slot_bound, EEXIST, S_OFFSET },
	{ "gpa too large", slot_gpa_limit, EINVAL, S_GPA },
};

static void right_binding(void *request)
{
	struct slot *r = request;

	right_slot2(r);
	r->region.flags = KVM_MEM_GUEST_MEMFD;
	r->region.guest_memfd = (uint32_t)file;
	r->region.memory_size = 2 * PG;
}

static int binding_error(const struct traits *k, const struct violation *v)
{
	return v->make == slot_bound ? k->conflict : v->error;
}

static unsigned binding_rank(const struct traits *k, const struct violation *v, unsigned position)
{
	return v->make == slot_bound && k->late_conflict ? sizeof(of_bindings) / sizeof(*of_bindings) : position;
}

void case_bind_order(void)
{
	struct slot r;

	begin(target.bindable);
	file = gmem_new(vm, SIZE, 0);
	foreign = gmem_new(vm_new(kvm, target.bindable), SIZE, 0);
	if (set_region2(vm, 7, KVM_MEM_GUEST_MEMFD, 2 * GiB, 2 * PG, (uintptr_t)area, file, 8 * PG))
		die("slot 7");
	right_binding(&r);
	SEE(try_slot(&r), 0, "right");
	RUN(of_bindings, struct slot, .right = right_binding, .attempt = try_slot, .error = binding_error,
	    .rank = binding_rank);
	/* A file of another VM that has the range: its own bindings do not count. */
	right_binding(&r);
	slot_foreign(&r);
	slot_bound(&r);
	SEE(try_slot(&r), -EINVAL, "a range bound in this VM, of another's file");
}

/* --- other ioctls of a VM ------------------------------------------------------------- */

struct log_request {
	struct kvm_dirty_log log;
	void *pointer;
};

enum { L_SLOT = 1 };

VIOLATION(struct log_request, log_pointer, r->pointer = BAD_PTR)
VIOLATION(struct log_request, log_id, r->log.slot = 32764)
VIOLATION(struct log_request, log_space, r->log.slot |= 5 << 16)
VIOLATION(struct log_request, log_none, r->log.slot = 9)
VIOLATION(struct log_request, log_bitmap, r->log.dirty_bitmap = BAD_PTR)

static void right_log(void *request)
{
	*(struct log_request *)request = (struct log_request){ .log = { .slot = 1, .dirty_bitmap = area } };
}

static long try_log(void *request)
{
	struct log_request *r = request;

	return RET(ioctl(vm, KVM_GET_DIRTY_LOG, r->pointer ? r->pointer : &r->log));
}

void case_slot_order_log(void)
{
	static const struct violation of_log[] = {
		{ "bad pointer", log_pointer, EFAULT, 0 },	{ "slot id", log_id, EINVAL, L_SLOT },
		{ "address space", log_space, EINVAL, 0 },	{ "no slot", log_none, ENOENT, L_SLOT },
		{ "bad bitmap", log_bitmap, EFAULT, 0 },
	};

	begin(0);
	if (set_region1(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GiB, PG, (uintptr_t)area))
		die("slot 1");
	RUN(of_log, struct log_request, .right = right_log, .attempt = try_log);
}

struct attributes {
	struct kvm_memory_attributes a;
	void *pointer;
};

enum { A_SIZE = 1, A_ADDRESS = 2 };

VIOLATION(struct attributes, attrs_pointer, r->pointer = BAD_PTR)
VIOLATION(struct attributes, attrs_flags, r->a.flags = 1)
VIOLATION(struct attributes, attrs_mask, r->a.attributes |= 1)
VIOLATION(struct attributes, attrs_nothing, r->a.size = 0)
VIOLATION(struct attributes, attrs_wraps, r->a.address = -PG)
VIOLATION(struct attributes, attrs_odd, r->a.address++)
VIOLATION(struct attributes, attrs_odd_size, r->a.size++)

static const struct violation of_attributes[] = {
	{ "bad pointer", attrs_pointer, EFAULT, 0 },	{ "flags", attrs_flags, EINVAL, 0 },
	{ "attributes", attrs_mask, EINVAL, 0 },	{ "size 0", attrs_nothing, EINVAL, A_SIZE },
	{ "wraps", attrs_wraps, EINVAL, A_ADDRESS },	{ "address unaligned", attrs_odd, EINVAL, 0 },
	{ "size unaligned", attrs_odd_size, EINVAL, A_SIZE },
};

static void right_attributes(void *request)
{
	*(struct attributes *)request = (struct attributes){ .a = { .address = GiB, .size = PG } };
}

static long try_attributes(void *request)
{
	struct attributes *r = request;

	return RET(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, r->pointer ? r->pointer : &r->a));
}

/* Unknown before anything is read. */
static int attributes_error(const struct traits *k, const struct violation *v)
{
	return k_has_attributes(k) ? v->error : ENOTTY;
}

void case_attributes_order(void)
{
	begin(0);
	RUN(of_attributes, struct attributes, .right = right_attributes, .attempt = try_attributes,
	    .error = attributes_error);
}

struct capability {
	struct kvm_enable_cap cap;
	void *pointer;
};

VIOLATION(struct capability, cap_pointer, r->pointer = BAD_PTR)
VIOLATION(struct capability, cap_flags, r->cap.flags = 1)
VIOLATION(struct capability, cap_unknown, r->cap.cap = 9999)
VIOLATION(struct capability, cap_bits, r->cap.args[0] |= 1)

static void right_capability(void *request)
{
	*(struct capability *)request =
		(struct capability){ .cap = { .cap = KVM_CAP_EXIT_HYPERCALL, .args = { 1 << KVM_HC_MAP_GPA_RANGE } } };
}

static long try_capability(void *request)
{
	struct capability *r = request;

	return RET(ioctl(vm, KVM_ENABLE_CAP, r->pointer ? r->pointer : &r->cap));
}

void case_ioctl_enable_order(void)
{
	static const struct violation of_caps[] = {
		{ "bad pointer", cap_pointer, EFAULT, 0 },
		{ "flags", cap_flags, EINVAL, 0 },
		{ "unknown", cap_unknown, EINVAL, 0 },
		{ "unknown bits", cap_bits, EINVAL, 0 },
	};

	begin(0);
	RUN(of_caps, struct capability, .right = right_capability, .attempt = try_capability);
}
