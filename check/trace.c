// SPDX-License-Identifier: MIT
/*
 * check/trace.c - the calls that lead to an observation, with their arguments
 *
 * A ring of texts for each thread.  Structures are read before the call, which may
 * write to them, and by touches that may fail: bad pointers are what cases are about.
 */
#include "check/check.h"

#include "uapi/kvm_vcpu.h"

#undef ioctl
#undef fallocate
#undef mmap
#undef mremap
#undef mprotect
#undef madvise
#undef pread
#undef pwrite

#define DEPTH	 6
#define TEXT_MAX 320

static __thread struct {
	struct {
		char text[TEXT_MAX];
		long ret;
	} calls[DEPTH];
	unsigned count;
} ring;

struct field {
	const char *name;
	unsigned offset, size;
};

#define FIELD(type, member) { #member, offsetof(struct type, member), sizeof(((struct type *)0)->member) }
#define FIELDS_MAX 8

static const struct call {
	unsigned long cmd;
	const char *name;
	size_t size;
	struct field fields[FIELDS_MAX];
} calls[] = {
	{ KVM_GET_API_VERSION, "KVM_GET_API_VERSION", 0, { { 0 } } },
	{ KVM_CREATE_VM, "KVM_CREATE_VM", 0, { { 0 } } },
	{ KVM_CHECK_EXTENSION, "KVM_CHECK_EXTENSION", 0, { { 0 } } },
	{ KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", 0, { { 0 } } },
	{ KVM_CREATE_VCPU, "KVM_CREATE_VCPU", 0, { { 0 } } },
	{ KVM_SET_NR_MMU_PAGES, "KVM_SET_NR_MMU_PAGES", 0, { { 0 } } },
	{ KVM_RUN, "KVM_RUN", 0, { { 0 } } },
	{ KVM_GET_DIRTY_LOG, "KVM_GET_DIRTY_LOG", sizeof(struct kvm_dirty_log),
	  { FIELD(kvm_dirty_log, slot), FIELD(kvm_dirty_log, dirty_bitmap) } },
	{ KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", sizeof(struct kvm_userspace_memory_region),
	  { FIELD(kvm_userspace_memory_region, slot), FIELD(kvm_userspace_memory_region, flags),
	    FIELD(kvm_userspace_memory_region, guest_phys_addr), FIELD(kvm_userspace_memory_region, memory_size),
	    FIELD(kvm_userspace_memory_region, userspace_addr) } },
	{ KVM_SET_USER_MEMORY_REGION2, "KVM_SET_USER_MEMORY_REGION2", sizeof(struct kvm_userspace_memory_region2),
	  { FIELD(kvm_userspace_memory_region2, slot), FIELD(kvm_userspace_memory_region2, flags),
	    FIELD(kvm_userspace_memory_region2, guest_phys_addr), FIELD(kvm_userspace_memory_region2, memory_size),
	    FIELD(kvm_userspace_memory_region2, userspace_addr), FIELD(kvm_userspace_memory_region2, guest_memfd),
	    FIELD(kvm_userspace_memory_region2, guest_memfd_offset) } },
	{ KVM_CREATE_GUEST_MEMFD, "KVM_CREATE_GUEST_MEMFD", sizeof(struct kvm_create_guest_memfd),
	  { FIELD(kvm_create_guest_memfd, size), FIELD(kvm_create_guest_memfd, flags) } },
	{ KVM_SET_MEMORY_ATTRIBUTES, "KVM_SET_MEMORY_ATTRIBUTES", sizeof(struct kvm_memory_attributes),
	  { FIELD(kvm_memory_attributes, address), FIELD(kvm_memory_attributes, size),
	    FIELD(kvm_memory_attributes, attributes), FIELD(kvm_memory_attributes, flags) } },
	{ KVM_SET_MEMORY_ATTRIBUTES2, "KVM_SET_MEMORY_ATTRIBUTES2", sizeof(struct kvm_memory_attributes2),
	  { FIELD(kvm_memory_attributes2, offset), FIELD(kvm_memory_attributes2, size),
	    FIELD(kvm_memory_attributes2, attributes), FIELD(kvm_memory_attributes2, flags),
	    FIELD(kvm_memory_attributes2, error_offset) } },
	{ KVM_PRE_FAULT_MEMORY, "KVM_PRE_FAULT_MEMORY", sizeof(struct kvm_pre_fault_memory),
	  { FIELD(kvm_pre_fault_memory, gpa), FIELD(kvm_pre_fault_memory, size), FIELD(kvm_pre_fault_memory, flags) } },
	{ KVM_ENABLE_CAP, "KVM_ENABLE_CAP", sizeof(struct kvm_enable_cap),
	  { FIELD(kvm_enable_cap, cap), FIELD(kvm_enable_cap, flags), FIELD(kvm_enable_cap, args[0]) } },
};

/* Of no use to who reads: how a guest's registers got where they are. */
static bool silent(unsigned long cmd)
{
	return cmd == KVM_GET_REGS || cmd == KVM_SET_REGS || cmd == KVM_GET_SREGS || cmd == KVM_SET_SREGS ||
	       cmd == KVM_GET_SUPPORTED_CPUID || cmd == KVM_SET_CPUID2;
}

void trace_note(long ret, const char *fmt, ...)
{
	unsigned at = ring.count++ % DEPTH;
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ring.calls[at].text, TEXT_MAX, fmt, ap);
	va_end(ap);
	ring.calls[at].ret = ret;
	errno = err;
}

void trace_take(void (*fn)(const char *text, long ret))
{
	for (unsigned i = ring.count > DEPTH ? ring.count - DEPTH : 0; i < ring.count && fn; i++)
		fn(ring.calls[i % DEPTH].text, ring.calls[i % DEPTH].ret);
	ring.count = 0;
}

/* "{size 0x1000, flags 0x4}"; where it cannot be read, where it should be. */
static void structure_text(const struct call *c, unsigned long arg, char *buf, size_t size)
{
	unsigned char copy[256];
	size_t len = 0;

	if (!check_copy(copy, (const void *)arg, c->size)) {
		snprintf(buf, size, "%#lx", arg);
		return;
	}
	for (unsigned i = 0; i < FIELDS_MAX && c->fields[i].name && len < size; i++) {
		uint64_t value = 0;

		memcpy(&value, copy + c->fields[i].offset, c->fields[i].size);
		len += (size_t)snprintf(buf + len, size - len, value < 10 ? "%s%s %llu" : "%s%s %#llx", i ? ", " : "{", c->fields[i].name,
					(unsigned long long)value);
	}
	if (len < size)
		snprintf(buf + len, size - len, "}");
}

int trace_ioctl(int fd, unsigned long cmd, unsigned long arg)
{
	const struct call *c = NULL;
	char text[TEXT_MAX];
	int ret;

	if (silent(cmd))
		return ioctl(fd, cmd, arg);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (calls[i].cmd == (unsigned int)cmd)
			c = &calls[i];
	if (c && c->size)
		structure_text(c, arg, text, sizeof(text));
	else
		snprintf(text, sizeof(text), arg < 10 ? "%lu" : "%#lx", arg);
	ret = ioctl(fd, cmd, arg);
	if (c)
		trace_note(ret < 0 ? -errno : ret, "ioctl(%d, %s, %s)", fd, c->name, text);
	else
		trace_note(ret < 0 ? -errno : ret, "ioctl(%d, %#lx, %s)", fd, cmd, text);
	return ret;
}

int trace_fallocate(int fd, int mode, off_t offset, off_t len)
{
	int ret = fallocate(fd, mode, offset, len);

	trace_note(ret < 0 ? -errno : ret, "fallocate(%d, %#x, %#llx, %#llx)", fd, (unsigned)mode, (long long)offset, (long long)len);
	return ret;
}

void *trace_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *ret = mmap(at, len, prot, flags, fd, offset);

	trace_note(ret == MAP_FAILED ? -errno : (long)ret, "mmap(%p, %#zx, %#x, %#x, %d, %#llx)", at, len, (unsigned)prot,
		   (unsigned)flags, fd, (long long)offset);
	return ret;
}

void *trace_mremap(void *at, size_t old, size_t len, int flags, void *to)
{
	void *ret = mremap(at, old, len, flags, to);

	trace_note(ret == MAP_FAILED ? -errno : (long)ret, "mremap(%p, %#zx, %#zx, %#x, %p)", at, old, len, (unsigned)flags, to);
	return ret;
}

int trace_mprotect(void *at, size_t len, int prot)
{
	int ret = mprotect(at, len, prot);

	trace_note(ret < 0 ? -errno : ret, "mprotect(%p, %#zx, %#x)", at, len, (unsigned)prot);
	return ret;
}

int trace_madvise(void *at, size_t len, int advice)
{
	int ret = madvise(at, len, advice);

	trace_note(ret < 0 ? -errno : ret, "madvise(%p, %#zx, %d)", at, len, advice);
	return ret;
}

ssize_t trace_pread(int fd, void *buf, size_t len, off_t offset)
{
	ssize_t ret = pread(fd, buf, len, offset);

	trace_note(ret < 0 ? -errno : ret, "pread(%d, %p, %#zx, %#llx)", fd, buf, len, (long long)offset);
	return ret;
}

ssize_t trace_pwrite(int fd, const void *buf, size_t len, off_t offset)
{
	ssize_t ret = pwrite(fd, buf, len, offset);

	trace_note(ret < 0 ? -errno : ret, "pwrite(%d, %p, %#zx, %#llx)", fd, buf, len, (long long)offset);
	return ret;
}
