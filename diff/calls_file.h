/* SPDX-License-Identifier: MIT */
/*
 * diff/calls_file.h - steps on files: creation, copies of descriptors, fallocate, conversion
 *
 * Goes behind diff/calls.h, here and in a reproducer.
 */
static struct result new_file(u64 f, u64 v, u64 size, u64 flags)
{
	u64 a[8] = { size, flags, ~0ULL, 1, 2, 3, 4, 5 }, before[8];
	struct result ret;

	if (file[f] >= 0 || vm[v] < 0)
		return skipped();
	memcpy(before, a, sizeof(a));
	file[f] = ioctl(vm[v], 0xc040aed4, a);
	ret = result_of(file[f] < 0 ? -1 : 0);
	ret.aux = memcmp(a, before, sizeof(a)) != 0;
	return ret;
}

static struct result close_file(u64 f)
{
	if (file[f] < 0)
		return skipped();
	close(file[f]);
	file[f] = -1;
	return result_of(0);
}

static struct result dup_file(u64 f, u64 g)
{
	if (file[f] < 0 || file[g] >= 0)
		return skipped();
	file[g] = fcntl(file[f], F_DUPFD_CLOEXEC, 0);
	return result_of(file[g] < 0 ? -1 : 0);
}

/* A file in a message, which a forked child sends or this process itself. */
static int send_file(int to, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte = 0;
	struct iovec io = { &byte, 1 };
	struct msghdr msg;

	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	msg.msg_iov = &io;
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return (int)sendmsg(to, &msg, 0);
}

static int receive_file(int from)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec io = { &byte, 1 };
	struct msghdr msg;
	int fd = -1;

	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	msg.msg_iov = &io;
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) == 1 && control.head.cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
	return fd;
}

static struct result pass_file(u64 f, u64 g, u64 forked)
{
	int pair[2], status = 0;
	pid_t pid = 0;

	if (file[f] < 0 || file[g] >= 0)
		return skipped();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return result_of(-1);
	if (forked) {
		pid = fork();
		if (pid == 0)
			_exit(send_file(pair[0], file[f]) != 1);
		waitpid(pid, &status, 0);
	} else {
		status = send_file(pair[0], file[f]) != 1;
	}
	file[g] = status ? -1 : receive_file(pair[1]);
	close(pair[0]);
	close(pair[1]);
	return result_of(file[g] < 0 ? -1 : 0);
}

static struct result allocate(u64 f, u64 mode, u64 offset, u64 size)
{
	if (file[f] < 0 || (mode == FALLOC_FL_KEEP_SIZE && size > ALLOCATION && (s64)size > 0))
		return skipped();
	return result_of(fallocate(file[f], (int)mode, (off_t)offset, (off_t)size));
}

static struct result stat_file(u64 f)
{
	struct stat st;
	struct result ret;

	if (file[f] < 0)
		return skipped();
	ret = result_of(fstat(file[f], &st));
	ret.aux = hash_of((u64)st.st_size, &st.st_mode, sizeof(st.st_mode)) + (u64)st.st_blocks * 3 + (u64)st.st_nlink * 5 +
		  (u64)st.st_blksize * 7;
	return ret;
}

/* Calls that every guest_memfd answers alike. */
static struct result file_call(u64 f, u64 which)
{
	char buf[16] = { 0 };
	struct pollfd p;
	int fd = file[f], value = 0;

	if (fd < 0)
		return skipped();
	switch (which) {
	case 0: return result_of(read(fd, buf, sizeof(buf)));
	case 1: return result_of(write(fd, buf, sizeof(buf)));
	case 2: return result_of(pread(fd, buf, sizeof(buf), 0));
	case 3: return result_of(pwrite(fd, buf, sizeof(buf), -1));
	case 4: return result_of(lseek(fd, 0, SEEK_DATA));
	case 5: return result_of(lseek(fd, 0, 77));
	case 6: return result_of(ftruncate(fd, 4096));
	case 7: return result_of(fsync(fd));
	case 8: return result_of(fchmod(fd, 0600));
	case 9: return result_of(readahead(fd, 0, 4096));
	case 10: return result_of(ioctl(fd, 0x541b, &value)); /* FIONREAD */
	case 11: return result_of(fcntl(fd, 1034)); /* F_GET_SEALS */
	case 12: return result_of(ioctl(fd, 0xae03, 234));
	case 13: return result_of(ioctl(fd, 0x4020aed2, NULL)); /* the VM's ioctl */
	case 14: return result_of(fcntl(fd, F_GETFL));
	default:
		p.fd = fd;
		p.events = POLLIN | POLLOUT;
		return result_of(poll(&p, 1, 0) < 0 ? -1 : p.revents);
	}
}

/* KVM_SET_MEMORY_ATTRIBUTES2; word beyond the reserved ones: none is set. */
static struct result convert(u64 f, u64 offset, u64 size, u64 value, u64 flags, u64 word)
{
	u64 a[16] = { offset, size, value, flags, 0x1234 }, before[16];
	struct result ret;

	if (file[f] < 0)
		return skipped();
	if (word < 11)
		a[5 + word] = 1;
	memcpy(before, a, sizeof(a));
	ret = result_of(ioctl(file[f], 0xc080aed2, a));
	ret.aux = a[4];
	a[4] = before[4];
	if (memcmp(a, before, sizeof(a)))
		ret.aux = ~0ULL;
	return ret;
}
