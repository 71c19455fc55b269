// SPDX-License-Identifier: MIT
/*
 * tests/run_userfault.c - arguments in memory that a userfaultfd of the program fills, as in postcopy migration
 *
 * The thread that fills it uses KVM first: nothing of gmem may be locked while a copy waits for it.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "tests/run_inplace.h"
#include "uapi/kvm_vcpu.h"

#define SLOT_SIZE (16 * PG)

static int vm, uffd, fd;
static char *ptr;
static _Atomic unsigned served;
static _Atomic bool slots_locked;

/* What another thread does while the first sleeps in a copy. */
static void use_kvm(void)
{
	int other = gmem_new(vm, SLOT_SIZE, SHAREABLE);
	char *view = map_shared(other, SLOT_SIZE, 0);

	*view = 1;
	if (!slots_locked) {
		set_region2(vm, 7, KVM_MEM_GUEST_MEMFD, 0x1000000, SLOT_SIZE, (uintptr_t)view, other, 0);
		set_region2(vm, 7, KVM_MEM_GUEST_MEMFD, 0x1000000, 0, (uintptr_t)view, other, 0);
	}
	set_attr2(other, 0, PG, PRIVATE, NULL);
	set_attr2(fd, PG, PG, PRIVATE, NULL);
	set_attr2(fd, PG, PG, SHARED, NULL);
	fallocate(fd, 3, 2 * PG, PG);
	munmap(view, SLOT_SIZE);
	close(other);
}

/* Fill each page that is asked for with what the page at *arg holds. */
static void *filler(void *arg)
{
	for (;;) {
		struct pollfd pfd = { uffd, POLLIN, 0 };
		struct uffd_msg msg;
		struct uffdio_copy copy = { .src = (uintptr_t)arg, .len = PG };

		poll(&pfd, 1, -1);
		if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		use_kvm();
		copy.dst = msg.arg.pagefault.address & -PG;
		served++;
		if (ioctl(uffd, UFFDIO_COPY, &copy))
			die("UFFDIO_COPY");
	}
	return NULL;
}

static bool start(void *source)
{
	struct uffdio_api api = { .api = UFFD_API };
	pthread_t thread;

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		return false;
	pthread_create(&thread, NULL, filler, source);
	return true;
}

/* A page that is missing. */
static void *missing(void)
{
	char *page = map_anon(PG);
	struct uffdio_register reg = { .range = { (uintptr_t)page, PG }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		die("UFFDIO_REGISTER");
	return page;
}

#define in_missing(what, call)                                                                                         \
	do {                                                                                                           \
		unsigned before_ = served;                                                                             \
		is(call, 0, "%s", what);                                                                               \
		ok(served > before_, "its page was asked for");                                                        \
	} while (0)

int main(void)
{
	static uint64_t source[PG / 8];
	struct kvm_userspace_memory_region2 *region = (void *)source;
	struct kvm_memory_attributes2 *attributes = (void *)source;
	struct kvm_dirty_log *log = (void *)source, *log2 = (void *)map_anon(PG);
	static uint64_t bits[64];
	int kvm;

	vm = inplace_vm(&kvm);
	if (!start(source))
		skip_all("no userfaultfd here");
	fd = gmem_new(vm, SLOT_SIZE, SHAREABLE);
	ptr = map_shared(fd, SLOT_SIZE, 0);
	*region = (struct kvm_userspace_memory_region2){ .slot = 1,
							 .flags = KVM_MEM_GUEST_MEMFD,
							 .memory_size = SLOT_SIZE,
							 .userspace_addr = (uintptr_t)ptr,
							 .guest_memfd = (uint32_t)fd };
	in_missing("KVM_SET_USER_MEMORY_REGION2", ioctl(vm, KVM_SET_USER_MEMORY_REGION2, missing()));
	*attributes = (struct kvm_memory_attributes2){ .size = PG, .attributes = PRIVATE };
	in_missing("KVM_SET_MEMORY_ATTRIBUTES2", ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, missing()));
	is(set_region2(vm, 2, KVM_MEM_LOG_DIRTY_PAGES, 0x800000, SLOT_SIZE, (uintptr_t)map_anon(SLOT_SIZE), -1, 0), 0, "a slot");
	memset(source, 0, sizeof(source));
	*log = (struct kvm_dirty_log){ .slot = 2, .dirty_bitmap = bits };
	in_missing("KVM_GET_DIRTY_LOG", ioctl(vm, KVM_GET_DIRTY_LOG, missing()));
	memset(source, 0, sizeof(source));
	/* The kernel copies it with the VM's slots locked. */
	slots_locked = true;
	*log2 = (struct kvm_dirty_log){ .slot = 2, .dirty_bitmap = missing() };
	in_missing("KVM_GET_DIRTY_LOG, its bitmap", ioctl(vm, KVM_GET_DIRTY_LOG, log2));
	slots_locked = false;
	in_missing("fstat", fstat(fd, missing()));
	in_missing("statx", statx(fd, "", AT_EMPTY_PATH, STATX_ALL, missing()));
	memset(source, 0, sizeof(source));
	in_missing("KVM_GET_MSR_INDEX_LIST", ioctl(kvm, KVM_GET_MSR_INDEX_LIST, missing()) == -1 && errno == E2BIG ? 0 : 1);
	is_private(ptr, "the converted page");
	return done_testing();
}
