// SPDX-License-Identifier: MIT
/*
 * tests/run_native_life.c - who keeps what alive: descriptors, mappings, slots, VMs, processes
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <sys/syscall.h>

#include "check/rights.h"
#include "tests/run_kvm.h"

#define GMEM KVM_MEM_GUEST_MEMFD
#define SIZE (4 * PG)

static int kvm, vm;

/* A mapping alone keeps the file, its pages and its bindings. */
static void mapping_keeps_file(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE), other = gmem_new(vm, SIZE, SHAREABLE);
	char *ptr = map_shared(fd, SIZE, 0);

	group("a mapping keeps the file");
	CASE(set_region2(vm, 1, GMEM, GiB, SIZE, 0, fd, 0), "bound");
	touch(ptr, 0x11);
	CASE(close(fd), "close");
	case_read("content", ptr, 0);
	case_write("a page not touched before", ptr, PG, 0x12);
	CASE(set_region2(vm, 2, GMEM, GiB, PG, 0, other, 0), "gpa in use");
	CASE(madvise(ptr, PG, MADV_REMOVE), "REMOVE");
	case_read("removed", ptr, 0);
	munmap(ptr + PG, SIZE - PG);
	case_read("after a partial munmap", ptr, 0);
	munmap(ptr, PG);
	CASE(set_region2(vm, 2, GMEM, GiB, PG, 0, other, 0), "file gone, gpa still in use");
	CASE(set_region2(vm, 1, GMEM, GiB, SIZE, 0, other, 0), "another file for the same slot");
	CASE(set_region2(vm, 1, 0, GiB, SIZE, 0, -1, 0), "slot without its file, changed");
	CASE(set_region2(vm, 1, 0, 0, 0, 0, -1, 0), "slot without its file, deleted");
	CASE(set_region2(vm, 2, GMEM, GiB, PG, 0, other, 0), "gpa free");
	CASE(set_region2(vm, 2, 0, 0, 0, 0, -1, 0), "deleted");
	close(other);
}

static void slots_keep_nothing(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE), copy, again;
	char *ptr;

	group("the last descriptor leaves the slot in place");
	CASE(set_region2(vm, 1, GMEM, GiB, PG, 0, fd, 0), "bound");
	copy = dup(fd);
	close(fd);
	CASE(set_region2(vm, 2, GMEM, 2 * GiB, PG, 0, copy, 0), "range still bound, through a dup");
	close(copy);
	CASE(set_region2(vm, 2, 0, GiB, PG, 0, -1, 0), "gpa still in use");
	CASE(set_region1(vm, 1, 0, GiB, PG, 0), "changed by v1");
	CASE(set_region2(vm, 1, 0, 0, 0, 0, -1, 0), "deleted");
	again = gmem_new(vm, SIZE, SHAREABLE);
	CASE(set_region2(vm, 1, GMEM, GiB, PG, 0, again, 0), "bound to a new file");
	ptr = map_shared(again, PG, 0);
	case_read("new file is empty", ptr, 0);
	touch(ptr, 0x21);
	CASE(set_region2(vm, 1, 0, 0, 0, 0, -1, 0), "deleted");
	case_read("content after deletion", ptr, 0);
	CASE(set_region2(vm, 1, GMEM, 3 * GiB, PG, 0, again, 0), "bound elsewhere");
	case_read("content after binding again", ptr, 0);
	CASE(fallocate(again, 3, 0, PG), "punch while bound");
	case_read("punched", ptr, 0);
	CASE(set_region2(vm, 2, GMEM, 4 * GiB, PG, 0, again, 0), "punching does not unbind");
	set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
	munmap(ptr, PG);
	close(again);
}

static void file_keeps_vm(void)
{
	int own = vm_new(kvm, 0), fd = gmem_new(own, SIZE, SHAREABLE);
	char *ptr;

	group("the file outlives the VM's descriptor");
	CASE(set_region2(own, 1, GMEM, GiB, SIZE, 0, fd, 0), "bound");
	CASE(close(own), "close the VM");
	CASE(ioctl(own, KVM_CHECK_EXTENSION, 234), "the closed descriptor");
	CASE(fallocate(fd, 1, 0, SIZE), "allocate");
	ptr = map_shared(fd, SIZE, 0);
	case_write("write", ptr, 0, 0x31);
	CASE(fallocate(fd, 3, 0, SIZE), "punch");
	case_read("punched", ptr, 0);
	CASE(ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR), "ATTRIBUTES2");
	close(fd);
	case_read("mapping alone", ptr, PG);
	munmap(ptr, SIZE);
}

/* A number that is used again means what it is now. */
static void recycled_numbers(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE), mfd, second;

	group("recycled descriptors");
	close(fd);
	mfd = memfd_create("plain", 0);
	note("same number: %d", mfd == fd);
	CASE(ftruncate(mfd, PG), "ftruncate of a memfd");
	CASE(write(mfd, "x", 1), "write to it");
	CASE(set_region2(vm, 1, GMEM, GiB, PG, 0, mfd, 0), "bind it");
	CASE(ioctl(mfd, KVM_CREATE_VM, 0), "CREATE_VM on it");
	second = gmem_new(vm, SIZE, SHAREABLE);
	CASE_OK(dup2(second, mfd), "dup2 over it");
	CASE(write(mfd, "x", 1), "write");
	CASE(fallocate(mfd, 1, 0, SIZE), "allocate");
	CASE_OK(syscall(SYS_dup3, second, mfd, O_CLOEXEC), "dup3");
	CASE(fcntl(mfd, F_GETFD), "F_GETFD");
	CASE(close_range((unsigned)second, (unsigned)second, 0), "close_range");
	CASE(fallocate(second, 1, 0, SIZE), "closed one");
	CASE(fallocate(mfd, 1, 0, SIZE), "other one");
	second = fcntl(mfd, F_DUPFD_CLOEXEC, 100);
	note("F_DUPFD_CLOEXEC: %d", second);
	CASE(fallocate(second, 1, 0, SIZE), "allocate");
	syscall(SYS_close, second);
	CASE(fallocate(second, 1, 0, SIZE), "closed behind libc");
	close(mfd);
}

struct family {
	int fd;
	char *ptr;
};

static int child(void *arg)
{
	struct family *f = arg;
	char *mine;

	case_read("child, inherited mapping", f->ptr, 0);
	case_write("child, write", f->ptr, 1, 0x42);
	mine = map_shared(f->fd, 2 * SIZE, 0);
	case_read("child, own mapping", mine, 1);
	case_read("child, beyond the end", mine, SIZE);
	CASE(fallocate(f->fd, 1, 0, SIZE), "child, allocate");
	CASE(fallocate(f->fd, 3, PG, PG), "child, punch");
	CASE(ioctl(vm, KVM_CHECK_EXTENSION, 234), "child, the VM");
	CASE(set_region2(vm, 2, GMEM, 2 * GiB, PG, 0, f->fd, 0), "child, bind");
	CASE(gmem_try(vm, PG, 0), "child, create");
	/* Its own VM cannot take the file. */
	{
		int k = kvm_open(), own = vm_new(k, 0), fd = gmem_new(own, SIZE, SHAREABLE);

		CASE(set_region2(own, 1, GMEM, GiB, PG, 0, f->fd, 0), "child, bind to an own VM");
		CASE(set_region2(own, 1, GMEM, GiB, PG, 0, fd, 0), "child, own file");
	}
	return 0;
}

static void processes(void)
{
	struct family f = { .fd = gmem_new(vm, SIZE, SHAREABLE) };
	int private = gmem_new(vm, SIZE, GUEST_MEMFD_FLAG_MMAP);
	struct family g = { .fd = private, .ptr = NULL };

	group("fork");
	f.ptr = map_shared(f.fd, SIZE, 0);
	g.ptr = map_shared(private, SIZE, 0);
	touch(f.ptr, 0x41);
	touch(f.ptr + PG, 0x43);
	note("status %d", in_child(child, &f));
	case_read("parent sees the child's write", f.ptr, 1);
	case_read("parent sees the child's hole", f.ptr, PG);
	CASE(set_region2(vm, 2, GMEM, 2 * GiB, PG, 0, f.fd, 0), "parent, bind");
	set_region2(vm, 2, 0, 0, 0, 0, -1, 0);
	group("fork, private content");
	note("status %d", in_child(child, &g));
	madvise(f.ptr, SIZE, MADV_DONTFORK);
	munmap(f.ptr, SIZE);
	munmap(g.ptr, SIZE);
	close(f.fd);
	close(private);
}

/* A process that never made a VM receives the file. */
static int receiver(void *arg)
{
	int fd = receive_fd(*(int *)arg);
	struct stat st;
	char *ptr;

	CASE(fstat(fd, &st), "receiver, fstat");
	note("receiver, size %#lx mode %o", (long)st.st_size, st.st_mode);
	ptr = map_shared(fd, 2 * SIZE, 0);
	case_read("receiver, content", ptr, 0);
	case_write("receiver, write", ptr, 1, 0x52);
	case_read("receiver, beyond the end", ptr, SIZE);
	CASE(fallocate(fd, 3, PG, PG), "receiver, punch");
	CASE(ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR), "receiver, ATTRIBUTES2");
	send_fd(*(int *)arg, fd);
	return 0;
}

static void rights(void)
{
	int pair[2], fd, back, status;
	char *ptr;
	pid_t pid;

	group("SCM_RIGHTS");
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(pair[0]);
		receiver(&pair[1]);
		fflush(stdout);
		_exit(0);
	}
	close(pair[1]);
	fd = gmem_new(vm, SIZE, SHAREABLE);
	ptr = map_shared(fd, SIZE, 0);
	touch(ptr, 0x51);
	touch(ptr + PG, 0x53);
	send_fd(pair[0], fd);
	close(fd);
	back = receive_fd(pair[0]);
	waitpid(pid, &status, 0);
	note("status %d", status);
	case_read("the receiver's write", ptr, 1);
	case_read("the receiver's hole", ptr, PG);
	CASE(set_region2(vm, 1, GMEM, GiB, PG, 0, back, 0), "what came back is bound");
	set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
	munmap(ptr, SIZE);

	/* Alone in a socket's queue: neither descriptor nor mapping is left. */
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	ptr = map_shared(back, SIZE, 0);
	touch(ptr, 0x54);
	munmap(ptr, SIZE);
	send_fd(pair[0], back);
	close(back);
	back = receive_fd(pair[1]);
	ptr = map_shared(back, SIZE, 0);
	case_read("content kept by a queue alone", ptr, 0);
	munmap(ptr, SIZE);
	close(back);
	close(pair[0]);
	close(pair[1]);
}

static void memory_goes_with_the_file(void)
{
	unsigned failed = 0;

	group("nothing leaks");
	for (int i = 0; i < 200; i++) {
		int own = vm_new(kvm, 0), fd = gmem_new(own, MiB, SHAREABLE);
		char *ptr = map_shared(fd, MiB, 0);

		failed += set_region2(own, 1, GMEM, GiB, MiB, (uintptr_t)ptr, fd, 0) != 0;
		ptr[0] = 1;
		failed += ptr[PG] != 0;
		munmap(ptr, MiB);
		close(fd);
		close(own);
	}
	note("failures in 200 rounds: %u", failed);
}

int main(void)
{
	touch_init();
	kvm = kvm_open();
	vm = vm_new(kvm, 0);
	mapping_keeps_file();
	slots_keep_nothing();
	file_keeps_vm();
	recycled_numbers();
	processes();
	rights();
	memory_goes_with_the_file();
	return 0;
}
