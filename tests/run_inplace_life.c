// SPDX-License-Identifier: MIT
/*
 * tests/run_inplace_life.c - conversions and slots, VMs, processes
 */
#include <poll.h>
#include <sys/socket.h>

#include "tests/run_inplace.h"

#define SIZE (4 * PG)

static int kvm, vm;

/* What a child found, in memory that both see: one word per question. */
static int *answers;

static void slots(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *ptr = map_shared(fd, SIZE, 0);

	memset(ptr, 's', SIZE);
	is(set_attr2(fd, 0, PG, PRIVATE, NULL), 0, "before any slot exists");
	is(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, GiB, 2 * PG, (uintptr_t)ptr, fd, 0), 0, "a slot");
	is(set_region2(vm, 2, KVM_MEM_GUEST_MEMFD, 2 * GiB, 2 * PG, (uintptr_t)ptr, fd, 2 * PG), 0, "another");
	is(set_attr2(fd, PG, 2 * PG, PRIVATE, NULL), 0, "a range in two slots");
	for (size_t i = 0; i < 3; i++)
		is_private(ptr + i * PG, "a page of it");
	is_shared(ptr + 3 * PG, 's', "the rest");
	is(set_region2(vm, 1, 0, 0, 0, 0, -1, 0), 0, "the first slot goes");
	is_private(ptr, "state after deletion");
	is(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, 3 * GiB, 2 * PG, 0, fd, 0), 0, "bound at another address");
	is_private(ptr, "state after binding again");
	fails(set_region2(vm, 3, KVM_MEM_GUEST_MEMFD, 4 * GiB, PG, 0, fd, 0), EEXIST, "bound twice");
	is(set_attr2(fd, 0, SIZE, SHARED, NULL), 0, "to shared");
	for (size_t i = 0; i < 4; i++)
		is_shared(ptr + i * PG, 's', "contents");
	set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
	set_region2(vm, 2, 0, 0, 0, 0, -1, 0);
	munmap(ptr, SIZE);
	close(fd);
}

static void without_vm(void)
{
	int own = vm_new(kvm, KVM_X86_SW_PROTECTED_VM), fd = gmem_new(own, SIZE, SHAREABLE);
	char *ptr = map_shared(fd, SIZE, 0);

	*ptr = 'v';
	close(own);
	is(set_attr2(fd, 0, PG, PRIVATE, NULL), 0, "after the VM's descriptor is closed");
	is_private(ptr, "it");
	is(set_attr2(fd, 0, PG, SHARED, NULL), 0, "back");
	is_shared(ptr, 'v', "contents");
	is(set_attr2(fd, 0, PG, PRIVATE, NULL), 0, "to private");
	close(fd);
	is_private(ptr, "a mapping alone");
	fails(set_attr2(fd, 0, PG, SHARED, NULL), EBADF, "closed descriptor");
	munmap(ptr, SIZE);
}

static void wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	if (poll(&p, 1, 20000) != 1 || read(fd, &byte, 1) != 1)
		_exit(98);
}

static void tell(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(97);
}

static void forked(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE), up[2], down[2], status;
	char *ptr = map_shared(fd, SIZE, 0);
	pid_t pid;

	if (pipe(up) || pipe(down))
		die("pipe");
	ptr[0] = 'p';
	ptr[PG] = 'q';
	is(set_attr2(fd, 2 * PG, PG, PRIVATE, NULL), 0, "private before the fork");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct touch t = touch(ptr + 2 * PG, -1);

		answers[0] = t.sig == SIGBUS && t.code == BUS_ADRERR && t.addr == (uintptr_t)(ptr + 2 * PG);
		answers[1] = ptr[0];
		ptr[1] = 'c';
		tell(up[1]);
		wait_for(down[0]); /* the parent converts page 0 */
		answers[2] = touch(ptr, -1).sig;
		answers[3] = touch(ptr, 1).sig;
		answers[4] = set_attr2(fd, PG, PG, PRIVATE, NULL);
		answers[5] = ioctl(vm, KVM_CHECK_EXTENSION, 252) == -1 ? errno : 0;
		answers[6] = fallocate(fd, 3, 3 * PG, PG);
		tell(up[1]);
		wait_for(down[0]); /* the parent shares page 0 again */
		answers[7] = ptr[0];
		_exit(0);
	}
	wait_for(up[0]);
	is(answers[0], 1, "[24] child, private since before the fork");
	is(answers[1], 'p', "[22] child reads what the parent wrote");
	is_shared(ptr + 1, 'c', "[22] parent reads what the child wrote");
	is(set_attr2(fd, 0, PG, PRIVATE, NULL), 0, "[23] parent converts what both have touched");
	is_private(ptr, "[23] parent");
	tell(down[1]);
	wait_for(up[0]);
	is(answers[2], SIGBUS, "[24] child, read");
	is(answers[3], SIGBUS, "[24] child, write");
	is(answers[4], 0, "child converts");
	is(answers[5], EIO, "child, VM ioctl");
	is(answers[6], 0, "child punches");
	is_private(ptr + PG, "parent, what the child converted");
	is(set_attr2(fd, 0, SIZE, SHARED, NULL), 0, "parent shares all");
	tell(down[1]);
	waitpid(pid, &status, 0);
	is(status, 0, "[25] child ends");
	is(answers[7], 'p', "child reads what was private");
	is_shared(ptr + PG, 'q', "contents");
	munmap(ptr, SIZE);
	close(fd);
	for (int i = 0; i < 2; i++) {
		close(up[i]);
		close(down[i]);
	}
}

/* A process that never made a KVM object receives the file and converts. */
static void received(void)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int pair[2], fd, status;
	char *ptr;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		char *mine;

		if (recvmsg(pair[1], &msg, 0) != 1 || !(cmsg = CMSG_FIRSTHDR(&msg)))
			_exit(96);
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
		mine = map_shared(fd, SIZE, 0);
		answers[10] = mine[0];
		answers[11] = touch(mine + PG, -1).sig;
		answers[12] = set_attr2(fd, 0, PG, PRIVATE, NULL);
		answers[13] = touch(mine, -1).sig;
		answers[14] = set_attr2(fd, PG, PG, SHARED, NULL);
		answers[15] = touch(mine + PG, -1).value;
		_exit(0);
	}
	fd = gmem_new(vm, SIZE, SHAREABLE);
	ptr = map_shared(fd, SIZE, 0);
	ptr[0] = 'm';
	ptr[PG] = 'n';
	is(set_attr2(fd, PG, PG, PRIVATE, NULL), 0, "private before it is sent");
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	is(sendmsg(pair[0], &msg, 0), 1, "sent");
	waitpid(pid, &status, 0);
	is(status, 0, "receiver ends");
	is(answers[10], 'm', "receiver reads a shared page");
	is(answers[11], SIGBUS, "receiver is refused a private page");
	is(answers[12], 0, "receiver converts");
	is(answers[13], SIGBUS, "receiver is refused what it converted");
	is(answers[14], 0, "receiver shares");
	is(answers[15], 'n', "receiver reads what was private");
	is_private(ptr, "sender, what the receiver converted");
	is_shared(ptr + PG, 'n', "sender, what the receiver shared");
	munmap(ptr, SIZE);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

/* A frozen or dead sharer of the file holds up nobody for ever. */
static void dead_peer(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE), up[2], status;
	char *ptr = map_shared(fd, SIZE, 0);
	pid_t pid;

	if (pipe(up))
		die("pipe");
	*ptr = 'd';
	fflush(stdout);
	pid = fork();
	if (!pid) {
		touch(ptr, -1);
		tell(up[1]);
		for (;;)
			pause();
	}
	wait_for(up[0]);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	is(set_attr2(fd, 0, PG, PRIVATE, NULL), 0, "to private after a sharer was killed");
	is_private(ptr, "it");
	is(set_attr2(fd, 0, PG, SHARED, NULL), 0, "to shared");
	is_shared(ptr, 'd', "contents");
	munmap(ptr, SIZE);
	close(fd);
	close(up[0]);
	close(up[1]);
}

int main(void)
{
	vm = inplace_vm(&kvm);
	answers = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	slots();
	without_vm();
	forked();
	received();
	dead_peer();
	return done_testing();
}
