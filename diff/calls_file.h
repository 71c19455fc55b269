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

/* Calls that every guest_memfd answers alike, or by generation. */
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

/* And what moves data between files, names the file, or is for other kinds of files. */
static struct result odd_call(u64 f, u64 which)
{
	static int tube[2] = { -1, -1 };
	char buf[64] = { 0 }, path[40];
	struct iovec io = { buf, sizeof(buf) };
	struct epoll_event event;
	struct result ret;
	int fd = file[f], value = 0, other;
	off_t off = 0;

	if (fd < 0 || (tube[0] < 0 && pipe2(tube, O_CLOEXEC | O_NONBLOCK)))
		return skipped();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	switch (which) {
	case 0: return result_of(readv(fd, &io, 1));
	case 1: return result_of(writev(fd, &io, 1));
	case 2: return result_of(preadv(fd, &io, 1, 0));
	case 3: return result_of(pwritev(fd, &io, 1, 0));
	case 4: return result_of(fdatasync(fd));
	case 5: return result_of(sync_file_range(fd, 0, 0, 0));
	case 6: return result_of(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	case 7: return result_of(flistxattr(fd, buf, sizeof(buf)));
	case 8: return result_of(fgetxattr(fd, "user.a", buf, sizeof(buf)));
	case 9: return result_of(fsetxattr(fd, "user.a", buf, 1, 0));
	case 10: return result_of(futimens(fd, NULL));
	case 11: return result_of(fchown(fd, 0, 0));
	case 12: return result_of(fcntl(fd, 1033, 1)); /* F_ADD_SEALS */
	case 13:
		ret = result_of(ioctl(fd, 2, &value)); /* FIGETBSZ */
		ret.aux = (u64)value;
		return ret;
	case 14: return result_of(flock(fd, LOCK_SH | LOCK_NB) ? -1 : flock(fd, LOCK_UN));
	case 15:
		memset(&event, 0, sizeof(event));
		other = epoll_create1(EPOLL_CLOEXEC);
		ret = result_of(epoll_ctl(other, EPOLL_CTL_ADD, fd, &event));
		close(other);
		return ret;
	case 16: return result_of(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
	case 17: return result_of(fchdir(fd));
	case 18: return result_of(openat(fd, "x", O_RDONLY));
	case 19: return result_of(splice(fd, NULL, tube[1], NULL, 16, SPLICE_F_NONBLOCK));
	case 20: return result_of(sendfile(sink, fd, &off, 16));
	case 21: return result_of(sendfile(fd, source, &off, 16));
	case 22: return result_of(copy_file_range(fd, NULL, sink, NULL, 16, 0));
	case 23: return result_of(copy_file_range(fd, NULL, fd, &off, 16, 0));
	case 24: return result_of(ioctl(sink, 0x40049409, fd)); /* FICLONE */
	case 25: return result_of(lseek(fd, 0, SEEK_END));
	case 26: return result_of(write(fd, buf, 0));
	case 27: return result_of(lseek(fd, 0, SEEK_HOLE));
	case 28: return result_of(splice(tube[0], NULL, fd, NULL, 16, SPLICE_F_NONBLOCK));
	case 29: return result_of(ioctl(fd, 0x5401, buf)); /* TCGETS */
	case 30: return result_of(truncate(path, 4096));
	default:
		other = fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK);
		ret = result_of(other < 0 ? -1 : fcntl(fd, F_GETFL));
		fcntl(fd, F_SETFL, 0);
		return ret;
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

/*
 * The naive model keeps the first pages of a large file.  Others are not mapped, and mremap does not come so far; nor does
 * anybody hold or strike them.
 */
static int is_kept(int fd, u64 offset)
{
	struct stat st;

	return offset < 64 * PAGE || fstat(fd, &st) || offset >= (u64)st.st_size;
}

/* Functions of an emulation: something holds a page, as I/O under way does; or lets go of it. */
static struct result pin(u64 f, u64 offset, u64 on)
{
	int (*hook)(int fd, u64 offset, int on);

	*(void **)&hook = dlsym(RTLD_DEFAULT, "gmem_test_pin");
	if (file[f] < 0 || !hook || !is_kept(file[f], offset))
		return skipped();
	return result_of(hook(file[f], offset, (int)on));
}

/* A memory error.  None is ever asked of a real kernel. */
static struct result strike(u64 f, u64 offset)
{
	int (*hook)(int fd, u64 offset);

	*(void **)&hook = dlsym(RTLD_DEFAULT, "gmem_test_poison");
	if (file[f] < 0 || !hook || !is_kept(file[f], offset))
		return skipped();
	return result_of(hook(file[f], offset));
}
