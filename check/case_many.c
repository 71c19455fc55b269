// SPDX-License-Identifier: MIT
/*
 * check/case_many.c - several processes and threads on one file
 */
#include <pthread.h>

#include "check/check.h"
#include "check/rights.h"
#include "uapi/kvm_vcpu.h"

#define SIZE	(8 * PG)
#define SHARED	0ULL
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE
#define THREADS 4
#define ROUNDS	200

static int kvm, vm, vcpu, file;
static char *ptr;

static void begin(unsigned type, uint64_t flags)
{
	kvm = kvm_open();
	vm = vm_new(kvm, type);
	file = gmem_new(vm, SIZE, flags);
	ptr = map_shared(file, SIZE, 0);
}

static int child_vm(void *arg)
{
	SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 234)), -EIO, "KVM_CHECK_EXTENSION");
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION, BAD_PTR)), -EIO, "bad pointer");
	SEE(RET(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, BAD_PTR)), -EIO, "bad pointer, v2");
	SEE(RET(ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR)), -EIO, "bad pointer, creation");
	SEE(RET(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR)), -EIO, "bad pointer, attributes");
	SEE(RET(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR)), -EIO, "the file's ioctl");
	SEE(RET(ioctl(vm, KVM_ENABLE_CAP, BAD_PTR)), -EIO, "bad pointer, KVM_ENABLE_CAP");
	SEE(RET(ioctl(vm, KVM_GET_DIRTY_LOG, BAD_PTR)), -EIO, "bad pointer, dirty log");
	SEE(RET(ioctl(vm, KVM_CREATE_VCPU, 1)), -EIO, "a vCPU");
	SEE(RET(ioctl(vm, _IO(KVMIO, 0xfe), 0)), -EIO, "unknown ioctl");
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), -EIO, "KVM_RUN");
	SEE(RET(ioctl(vcpu, KVM_RUN, 1)), -EIO, "KVM_RUN(1)");
	SEE(RET(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, BAD_PTR)), -EIO, "bad pointer, pre-faulting");
	SEE(RET(ioctl(vcpu, _IO(KVMIO, 0xfe), 0)), -EIO, "unknown ioctl of a vCPU");
	SEE(RET(fcntl(vm, F_GETFD)), FD_CLOEXEC, "calls of all files work");
	SEE(RET(ioctl(kvm, KVM_CHECK_EXTENSION, 3)), 1, "the device answers");
	SEE(MADE(ioctl(kvm, KVM_CREATE_VM, 0)), 0, "a VM of its own");
	return 0;
}

void case_process_vm(void)
{
	kvm = kvm_open();
	vm = vm_new(kvm, 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	SEE(in_child(child_vm, NULL), 0, "child");
	SEE(RET(ioctl(vm, KVM_CHECK_EXTENSION, 3)), 1, "the parent afterwards");
}

static int child_file(void *arg)
{
	char *mine = map_shared(file, 2 * SIZE, 0);
	int own = vm_new(kvm, target.bindable);

	SEE(check_load(ptr), 0x41, "inherited mapping");
	SEE(check_store(ptr + 1, 0x42), 0, "store");
	SEE(check_load(mine + 1), 0x42, "a mapping of its own");
	SEE(check_load(mine + SIZE), REFUSED, "beyond the end");
	SEE(RET(fallocate(file, 3, PG, PG)), 0, "punch");
	SEE(RET(fallocate(file, 1, 0, SIZE)), 0, "allocate");
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, GiB, PG, 0, file, 0)), -EIO, "bind");
	SEE(RET(set_region2(own, 1, KVM_MEM_GUEST_MEMFD, GiB, PG, 0, file, 0)), -EINVAL, "bind to a VM of its own");
	return 0;
}

void case_process_file(void)
{
	begin(0, SHAREABLE);
	check_store(ptr, 0x41);
	check_store(ptr + PG, 0x43);
	SEE(in_child(child_file, NULL), 0, "child");
	SEE(check_load(ptr + 1), 0x42, "the child's store");
	SEE(check_load(ptr + PG), 0, "the child's hole");
	if (!target.bindable)
		SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, GiB, PG, 0, file, 0)), 0, "the parent binds");
}

void case_process_rights(void)
{
	int pair[2], status;
	pid_t pid;

	kvm = kvm_open();
	if (target.bindable || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return;
	/* The receiver is there before the file. */
	pid = fork();
	if (pid == 0) {
		int fd = receive_fd(pair[1]);
		char *mine = map_shared(fd, 2 * SIZE, 0);
		struct stat st;

		SEE(RET(fstat(fd, &st)), 0, "receiver, fstat");
		SEE(st.st_size, SIZE, "receiver, size");
		SEE(check_load(mine), 0x51, "receiver, content");
		SEE(check_store(mine + 1, 0x52), 0, "receiver, store");
		SEE(check_load(mine + SIZE), REFUSED, "receiver, beyond the end");
		SEE(RET(fallocate(fd, 3, PG, PG)), 0, "receiver, punch");
		send_fd(pair[1], fd);
		_exit(0);
	}
	begin(0, SHAREABLE);
	check_store(ptr, 0x51);
	check_store(ptr + PG, 0x53);
	send_fd(pair[0], file);
	close(file);
	file = receive_fd(pair[0]);
	waitpid(pid, &status, 0);
	SEE(status, 0, "receiver");
	SEE(check_load(ptr + 1), 0x52, "the receiver's store");
	SEE(check_load(ptr + PG), 0, "the receiver's hole");
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, GiB, PG, 0, file, 0)), 0, "what comes back can be bound");
}

static int child_convert(void *arg)
{
	SEE(check_load(ptr), REFUSED, "child, private before the fork");
	SEE(check_load(ptr + PG), 0x62, "child, shared");
	SEE(RET(set_attr2(file, PG, PG, PRIVATE, NULL)), 0, "child, to private");
	SEE(check_load(ptr + PG), REFUSED, "child, it is");
	SEE(RET(set_attr2(file, 0, PG, SHARED, NULL)), 0, "child, to shared");
	SEE(check_load(ptr), 0x61, "child, content");
	return 0;
}

void case_process_convert(void)
{
	begin(KVM_X86_SW_PROTECTED_VM, SHAREABLE);
	check_store(ptr, 0x61);
	check_store(ptr + PG, 0x62);
	set_attr2(file, 0, PG, PRIVATE, NULL);
	SEE(in_child(child_convert, NULL), 0, "child");
	SEE(check_load(ptr), 0x61, "parent, shared by the child");
	SEE(check_load(ptr + PG), REFUSED, "parent, private by the child");
}

/* Who gets a file over a socket can convert its pages, without VM or slot. */
void case_process_rights_convert(void)
{
	int pair[2], status;
	pid_t pid;

	kvm = kvm_open();
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return;
	pid = fork();
	if (pid == 0) {
		int fd = receive_fd(pair[1]);
		char *mine = map_shared(fd, SIZE, 0);

		SEE(check_load(mine), 0x51, "receiver, shared");
		SEE(RET(set_attr2(fd, 0, PG, PRIVATE, NULL)), 0, "receiver, to private");
		SEE(check_load(mine), REFUSED, "receiver, it is");
		send_fd(pair[1], fd);
		_exit(0);
	}
	begin(KVM_X86_SW_PROTECTED_VM, SHAREABLE);
	check_store(ptr, 0x51);
	send_fd(pair[0], file);
	close(receive_fd(pair[0]));
	SEE(check_load(ptr), REFUSED, "sender, private by the receiver");
	SEE(RET(set_attr2(file, 0, PG, SHARED, NULL)), 0, "sender, to shared");
	SEE(check_load(ptr), 0x51, "sender, content");
	waitpid(pid, &status, 0);
	SEE(status, 0, "receiver");
}

#define CHILDREN 4

/* Children at the same time, each with pages of its own; how many of them saw something wrong. */
static int in_children(bool (*fn)(unsigned))
{
	pid_t pids[CHILDREN];
	int wrong = 0, status;

	for (unsigned i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(!fn(i));
		if (pids[i] < 0)
			die("fork");
	}
	for (unsigned i = 0; i < CHILDREN; i++)
		wrong += waitpid(pids[i], &status, 0) != pids[i] || status;
	return wrong;
}

static bool use_pages(unsigned i)
{
	const off_t at = (off_t)(i * 2 * PG);

	for (int n = 0; n < ROUNDS / 4; n++) {
		if (check_store(ptr + at, n) || check_store(ptr + at + PG, n) || check_load(ptr + at) != (n & 0xff))
			return false;
		if (fallocate(file, 3, at, PG) || check_load(ptr + at) || check_load(ptr + at + PG) != (n & 0xff))
			return false;
	}
	return true;
}

static bool convert_pages(unsigned i)
{
	const uint64_t at = i * 2 * PG;

	for (int n = 0; n < ROUNDS / 4; n++) {
		if (check_store(ptr + at, n) || set_attr2(file, at, PG, PRIVATE, NULL))
			return false;
		if (check_load(ptr + at) != REFUSED || check_load(ptr + at + PG) == REFUSED)
			return false;
		if (set_attr2(file, at, PG, SHARED, NULL) || check_load(ptr + at) != (n & 0xff))
			return false;
	}
	return true;
}

void case_process_many(void)
{
	begin(0, SHAREABLE);
	SEE(in_children(use_pages), 0, "of 4 children that store and punch, those that saw something wrong");
}

void case_process_many_convert(void)
{
	begin(KVM_X86_SW_PROTECTED_VM, SHAREABLE);
	SEE(in_children(convert_pages), 0, "of 4 children that convert, those that saw something wrong");
	SEE(set_attr2(file, 0, SIZE, PRIVATE, NULL), 0, "afterwards, all to private");
	for (unsigned i = 0; i < SIZE / PG; i++)
		SEE(check_load(ptr + i * PG), REFUSED, "page %u", i);
}

/* --- threads ------------------------------------------------------------------------ */

static unsigned long failures;

static void run_threads(void *(*fn)(void *), unsigned count)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, fn, (void *)(uintptr_t)i))
			die("pthread_create");
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static void fail_unless(bool good)
{
	if (!good)
		__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

static void *make_files(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		int fd = gmem_try(vm, (uint64_t)(1 + i % 7) * PG, 0);
		struct stat st;

		fail_unless(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == (off_t)((1 + i % 7) * PG));
		fail_unless(fallocate(fd, 1, 0, PG) == 0 && fallocate(fd, 3, 0, PG) == 0);
		fail_unless(close(fd) == 0);
	}
	return NULL;
}

void case_thread_files(void)
{
	vm = vm_new(kvm_open(), 0);
	run_threads(make_files, THREADS);
	SEE(failures, 0, "failures");
}

static void *use_slots(void *arg)
{
	uint64_t i = (uintptr_t)arg;

	for (int n = 0; n < ROUNDS; n++) {
		fail_unless(set_region2(vm, (uint32_t)i, KVM_MEM_GUEST_MEMFD, GiB + i * MiB, 2 * PG, 0, file, i * 2 * PG) == 0);
		/* The neighbour's range is bound or not; half of ours always is. */
		errno = 0;
		fail_unless(set_region2(vm, (uint32_t)i + 100, KVM_MEM_GUEST_MEMFD, 2 * GiB + i * MiB, PG, 0, file, i * 2 * PG) < 0 &&
			    (errno == EEXIST || errno == EINVAL));
		fail_unless(set_region2(vm, (uint32_t)i, 0, 0, 0, 0, -1, 0) == 0);
	}
	return NULL;
}

void case_thread_slots(void)
{
	vm = vm_new(kvm_open(), target.bindable);
	file = gmem_new(vm, SIZE, 0);
	run_threads(use_slots, THREADS);
	SEE(failures, 0, "failures");
}

/* One makes holes, the others find what was stored or nothing, and never a signal. */
static void *punch_or_touch(void *arg)
{
	for (int n = 0; n < ROUNDS * 4; n++) {
		if (!arg) {
			fail_unless(fallocate(file, 3, 0, PG) == 0);
			fail_unless(check_load(ptr) == 0);
			fail_unless(fallocate(file, 1, 0, PG) == 0);
		} else {
			fail_unless(check_load(ptr + 5) == 0);
			fail_unless(check_load(ptr + PG) == 0x71);
		}
	}
	return NULL;
}

void case_thread_holes(void)
{
	begin(0, SHAREABLE);
	memset(ptr + PG, 0x71, SIZE - PG);
	run_threads(punch_or_touch, THREADS);
	SEE(failures, 0, "failures");
}

static void *convert_or_touch(void *arg)
{
	for (int n = 0; n < ROUNDS * 4; n++) {
		if (!arg) {
			fail_unless(set_attr2(file, 0, 2 * PG, n & 1 ? SHARED : PRIVATE, NULL) == 0);
			/* Returned: nobody sees it any more, or everybody does. */
			fail_unless(check_load(ptr) == (n & 1 ? 0x71 : REFUSED));
		} else {
			long seen = check_load(ptr + PG + 5);

			fail_unless(seen == 0x71 || seen == REFUSED);
			/* Never converted: never refused. */
			fail_unless(check_load(ptr + 2 * PG) == 0x71);
		}
	}
	return NULL;
}

void case_thread_convert(void)
{
	begin(KVM_X86_SW_PROTECTED_VM, SHAREABLE);
	memset(ptr, 0x71, SIZE);
	run_threads(convert_or_touch, THREADS);
	SEE(failures, 0, "failures");
}
