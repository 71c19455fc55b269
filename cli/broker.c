// SPDX-License-Identifier: MIT
/*
 * cli/broker.c - the process behind `gmem run`: reports and files of a served program
 *
 * Theory of operation: one thread waits for connections, messages, signals and
 * closes of files.  It never blocks on a peer: messages are taken as they are, and an answer that
 * does not fit into a socket is dropped, which costs the peer its adoption and nobody else anything.
 *
 *  1. The program's descriptors are not ours: standard input and output and
 *     whatever else was inherited is closed here, so that readers of a pipe see its end
 *     when the program closes it.  Standard error stays, for reports.
 *  2. A signal sent to gmem by a process (kill) is sent on to the program.  One
 *     that the terminal's driver sent is not: the program, of the same process group, has got
 *     it already.  The exception is SIGHUP of a lost terminal when gmem is the
 *     session's leader: the leader alone gets that.
 *  3. Reports of a program that has ended are printed before gmem ends: they are in the sockets already.
 *  4. gmem ends with its child.  Descendants that live on keep their views; they can
 *     adopt nothing more.
 *  5. Names in /proc/net/unix are no secret.  A peer is listened to when it runs
 *     as our user or descends from us.
 */
#include "cli/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKLOG	      128
#define EVENTS	      16
#define ANCESTORS_MAX 64
#define TAKE_TRIES    50 /* where memory is short */
#define TAKE_PAUSE_US 10000
#define PID_LIMIT     (1 << 22) /* the kernel's */
#define MESSAGES_PER_TURN 512 /* more than a socket holds by default */

struct broker_peer {
	struct broker_peer *next;
	int fd;
	pid_t pid;
	char program[64]; /* last component of the path that it said hello with */
};

static const int forwarded[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

void broker_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGCHLD);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(ret, forwarded[i]);
}

int broker_open(struct broker *broker, struct report *report)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	u64 random[2];
	int error;

	*broker = (struct broker){ .listener = -1, .epoll = -1, .signals = -1, .report = report };
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -errno;
	snprintf(broker->name, sizeof(broker->name), "gmem-%016" PRIx64 "%016" PRIx64, random[0], random[1]);
	memcpy(address.sun_path + 1, broker->name, strlen(broker->name));

	broker->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (broker->listener < 0)
		return -errno;
	if (bind(broker->listener, (struct sockaddr *)&address,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(broker->name))) == 0 &&
	    listen(broker->listener, BACKLOG) == 0)
		return 0;
	error = errno;
	close(broker->listener);
	return -error;
}

/* Close everything but stderr and the descriptors of keep, which are sorted. */
static void close_others(const int *keep, size_t count)
{
	unsigned from = 3;

	for (size_t i = 0; i <= count; i++) {
		unsigned end = i < count ? (unsigned)keep[i] : ~0U;

		/* Before 5.9 they stay open: then a pipe's reader sees its end when gmem ends. */
		if (end > from)
			syscall(SYS_close_range, from, i < count ? end - 1 : end, 0);
		if (end >= from)
			from = end + 1;
	}
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int add_source(struct broker *broker, int fd, void *source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

	return epoll_ctl(broker->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int broker_settle(struct broker *broker, pid_t child)
{
	int keep[2] = { broker->listener, broker->report->fd };
	struct rlimit limit;
	sigset_t signals;
	int null, ret;

	qsort(keep, 2, sizeof(keep[0]), compare_fds);
	/* A report on stderr is below what is closed anyway. */
	close_others(keep[0] < 3 ? keep + 1 : keep, keep[0] < 3 ? 1 : 2);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		close(null);
	}
	/* Three descriptors a file. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}

	broker->child = child;
	keep_init(&broker->keep);
	broker_signals(&signals);
	broker->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	broker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (broker->signals < 0 || broker->epoll < 0)
		return -errno;
	ret = add_source(broker, broker->listener, &broker->listener);
	if (ret == 0)
		ret = add_source(broker, broker->signals, &broker->signals);
	if (ret == 0 && broker->keep.inotify >= 0)
		ret = add_source(broker, broker->keep.inotify, &broker->keep);
	return ret;
}

/* The parent of a process, 0 when there is none to be seen. */
static pid_t parent_of(pid_t pid)
{
	char path[40], stat[512], *at;
	ssize_t n;
	int fd, parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[n > 0 ? n : 0] = '\0';
	/* The command's name may hold anything; it ends with the last parenthesis. */
	at = strrchr(stat, ')');
	if (!at || sscanf(at, ") %*c %d", &parent) != 1)
		return 0;
	return parent;
}

static bool is_allowed(const struct ucred *cred)
{
	pid_t pid = cred->pid;

	if (cred->uid == getuid() || cred->uid == geteuid())
		return true;
	for (unsigned i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		if (pid == getpid())
			return true;
		pid = parent_of(pid);
	}
	return false;
}

/* 0 or -errno; -EPERM: of a stranger. */
static int add_peer(struct broker *broker, int fd)
{
	struct broker_peer *peer = calloc(1, sizeof(*peer));
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);
	int ret;

	if (!peer)
		return -ENOMEM;
	ret = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) ? -errno : 0;
	if (ret == 0 && !is_allowed(&cred))
		ret = -EPERM;
	if (ret == 0)
		ret = add_source(broker, fd, peer);
	if (ret) {
		free(peer);
		return ret;
	}
	peer->fd = fd;
	peer->pid = cred.pid;
	snprintf(peer->program, sizeof(peer->program), "process");
	peer->next = broker->peers;
	broker->peers = peer;
	return 0;
}

static void take_connection(struct broker *broker)
{
	for (;;) {
		int fd = accept4(broker->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), ret = -ENOMEM;

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0) {
			/* It stays in the queue, and the listener ready. */
			if (errno != EAGAIN)
				usleep(TAKE_PAUSE_US);
			return;
		}
		/* What it has sent already, files among it, it would not send again. */
		for (unsigned i = 0; i < TAKE_TRIES && (ret = add_peer(broker, fd)) != 0 && ret != -EPERM; i++)
			usleep(TAKE_PAUSE_US);
		if (ret == 0)
			continue;
		if (ret != -EPERM)
			report_line(broker->report, "a process cannot be listened to, and its files cannot be adopted: %s",
				    strerror(-ret));
		close(fd);
	}
}

static void close_fds(const int *fd, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fd[i]);
}

static void send_answer(const struct broker_peer *peer, const struct wire_msg *msg, const int *fd, unsigned count)
{
	union {
		char buf[CMSG_SPACE(KEEP_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct wire_msg copy = *msg;
	struct iovec io = { &copy, sizeof(copy) };
	struct msghdr head = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (count) {
		head.msg_control = control.buf;
		head.msg_controllen = CMSG_SPACE(count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&head);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fd, count * sizeof(int));
	}
	sendmsg(peer->fd, &head, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void answer_adopt(struct broker *broker, const struct broker_peer *peer, const struct wire_msg *msg)
{
	const struct kept_file *file = keep_find(&broker->keep, msg->dev, msg->ino);
	struct wire_msg refusal = *msg;

	if (file) {
		send_answer(peer, &file->announced, file->fd, KEEP_FDS);
		return;
	}
	refusal.error = ENODEV;
	send_answer(peer, &refusal, NULL, 0);
}

/* A program says hello anew after exec: processes are counted, not programs. */
static bool is_new_process(pid_t pid)
{
	static u8 seen[PID_LIMIT / 8];
	u8 bit = (u8)(1 << pid % 8);
	bool is_new;

	if (pid <= 0 || pid >= PID_LIMIT)
		return true;
	is_new = !(seen[pid / 8] & bit);
	seen[pid / 8] |= bit;
	return is_new;
}

static void greet(struct broker *broker, struct broker_peer *peer, const struct wire_msg *msg)
{
	const char *slash = strrchr(msg->text, '/');

	broker->report->served += is_new_process(peer->pid);
	if (msg->text[0])
		snprintf(peer->program, sizeof(peer->program), "%.63s", slash ? slash + 1 : msg->text);
}

/* fd: descriptors that came along; whoever keeps them takes them out of *count. */
static void handle(struct broker *broker, struct broker_peer *peer, const struct wire_msg *msg, const int *fd,
		   unsigned *count)
{
	switch (msg->kind) {
	case WIRE_HELLO:
		greet(broker, peer, msg);
		return;
	case WIRE_REFUSAL:
		report_refusal(broker->report, peer->program, msg);
		return;
	case WIRE_TOUCH:
		report_touch(broker->report, peer->program, msg);
		return;
	case WIRE_NOTICE:
		report_notice(broker->report, peer->program, msg);
		return;
	case WIRE_UNSERVED:
		report_unserved(broker->report, peer->program, msg);
		return;
	case WIRE_ADOPT:
		answer_adopt(broker, peer, msg);
		return;
	case WIRE_FILE_GONE:
		keep_gone(&broker->keep, msg->dev, msg->ino);
		return;
	case WIRE_FILE:
		if (*count != KEEP_FDS) {
			report_line(broker->report, "out of descriptors: file %" PRIu64 " of %s cannot be adopted",
				    msg->file, peer->program);
			return;
		}
		*count = 0;
		if (keep_add(&broker->keep, msg, fd, peer) == 0)
			broker->report->files++;
		return;
	}
}

/* One message of a peer: false when there is none now, or the connection has ended (*ended). */
static bool take_message(struct broker *broker, struct broker_peer *peer, bool *ended)
{
	union {
		char buf[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct wire_msg msg = { 0 };
	struct iovec io = { &msg, sizeof(msg) };
	struct msghdr head = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.buf,
			       .msg_controllen = sizeof(control.buf) };
	int fd[16];
	unsigned count = 0;
	ssize_t n;

	/* By number: under another gmem run these are not files that it should get to know. */
	do {
		n = syscall(SYS_recvmsg, peer->fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
		return false;
	*ended = n <= 0;
	if (*ended)
		return false;
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&head); cmsg; cmsg = CMSG_NXTHDR(&head, cmsg)) {
		size_t size = cmsg->cmsg_len - CMSG_LEN(0);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fd + count, CMSG_DATA(cmsg), size);
		count += (unsigned)(size / sizeof(int));
	}
	if (n == (ssize_t)sizeof(msg) && msg.version == WIRE_VERSION) {
		msg.call[sizeof(msg.call) - 1] = '\0';
		msg.object[sizeof(msg.object) - 1] = '\0';
		msg.text[sizeof(msg.text) - 1] = '\0';
		handle(broker, peer, &msg, fd, &count);
	} else {
		report_line(broker->report, "process %d speaks another version of gmem; it is not listened to",
			    peer->pid);
		*ended = true;
	}
	close_fds(fd, count);
	return !*ended;
}

static void drop_peer(struct broker *broker, struct broker_peer *peer)
{
	struct broker_peer **link = &broker->peers;

	while (*link != peer)
		link = &(*link)->next;
	*link = peer->next;
	close(peer->fd);
	keep_creator_gone(&broker->keep, peer, broker->peers != NULL);
	free(peer);
}

static void take_messages(struct broker *broker, struct broker_peer *peer)
{
	bool ended = false;

	/* Bounded: a peer that never stops talking must not keep the others, or our end, waiting. */
	for (unsigned i = 0; i < MESSAGES_PER_TURN && take_message(broker, peer, &ended); i++)
		;
	if (ended)
		drop_peer(broker, peer);
}

/* Invariant 2. */
static bool is_for_child(const struct signalfd_siginfo *info)
{
	if (info->ssi_code <= 0)
		return true;
	return info->ssi_signo == SIGHUP && getsid(0) == getpid();
}

/* Whether the child has ended; its status in *status. */
static bool take_signals(struct broker *broker, int *status)
{
	struct signalfd_siginfo info;

	while (read(broker->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGCHLD && is_for_child(&info))
			kill(broker->child, (int)info.ssi_signo);
	}
	return waitpid(broker->child, status, WNOHANG) == broker->child;
}

/* Invariant 3. */
static void drain(struct broker *broker)
{
	struct broker_peer *peer, *next;

	take_connection(broker);
	for (peer = broker->peers; peer; peer = next) {
		next = peer->next;
		take_messages(broker, peer);
	}
}

static void close_broker(struct broker *broker)
{
	while (broker->peers)
		drop_peer(broker, broker->peers);
	keep_fini(&broker->keep);
	close(broker->listener);
	close(broker->signals);
	close(broker->epoll);
}

int broker_run(struct broker *broker)
{
	struct epoll_event events[EVENTS];
	int status = 0;
	bool done = take_signals(broker, &status);

	while (!done) {
		int n = epoll_wait(broker->epoll, events, EVENTS, keep_timeout(&broker->keep));

		if (n == 0)
			keep_event(&broker->keep, broker->peers != NULL);
		for (int i = 0; i < n; i++) {
			void *source = events[i].data.ptr;

			if (source == &broker->listener)
				take_connection(broker);
			else if (source == &broker->signals)
				done = take_signals(broker, &status);
			else if (source == &broker->keep)
				keep_event(&broker->keep, broker->peers != NULL);
			else
				take_messages(broker, source);
		}
	}
	drain(broker);
	close_broker(broker);
	return status;
}
