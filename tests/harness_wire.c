// SPDX-License-Identifier: MIT
/*
 * tests/harness_wire.c - messages that the broker reads (overlay/wire.h), any bytes and any number of descriptors
 *
 * The input is messages: a byte of descriptors (0 to 7), two of the message's size, the message.
 */
#include "cli/broker.c"
#include "cli/keep.c"
#include "cli/report.c"
#include "cli/words.c"

#include <sys/mman.h>

#define HARNESS "wire"
#include "tests/harness.h"

static void send_message(int to, const void *buf, size_t size, unsigned fds)
{
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct iovec io = { (void *)(uintptr_t)buf, size };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1 };
	int fd[8];

	for (unsigned i = 0; i < fds; i++)
		fd[i] = memfd_create("harness", MFD_CLOEXEC);
	if (fds) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fd, fds * sizeof(int));
	}
	if (sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EPIPE)
		abort();
	for (unsigned i = 0; i < fds; i++)
		close(fd[i]);
}

static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int null = -1;
	static struct report report;
	struct broker broker = { .listener = -1, .epoll = -1, .signals = -1, .report = &report };
	struct broker_peer *peer = calloc(1, sizeof(*peer));
	struct input in = { data, data + size };
	bool ended = false;
	int pair[2], before;

	if (null < 0)
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	report = (struct report){ .fd = null, .explain = true };
	before = lowest_free();
	if (!peer || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	keep_init(&broker.keep);
	*peer = (struct broker_peer){ .fd = pair[0], .pid = getpid() };
	broker.peers = peer;
	while (in.p < in.end && !ended) {
		unsigned fds = (unsigned)input_take(&in, 1) % 8;
		size_t n = (size_t)input_take(&in, 2) % (sizeof(struct wire_msg) + 16);
		struct wire_msg msg = { .version = WIRE_VERSION };
		char room[sizeof(msg) + 16] = { 0 };

		/* Mostly a whole message of the version that is listened to. */
		memcpy(room, &msg, sizeof(msg));
		for (size_t i = n & 1 ? 0 : 4; i < (n < 4 ? 4 : n) && in.p < in.end; i++)
			room[i] = (char)*in.p++;
		send_message(pair[1], room, n & 2 ? n : sizeof(msg), fds);
		while (take_message(&broker, peer, &ended))
			;
		/* Answers of the broker. */
		while (recv(pair[1], room, sizeof(room), MSG_DONTWAIT) > 0)
			;
	}
	drop_peer(&broker, peer);
	close(pair[1]);
	keep_fini(&broker.keep);
	/* Whatever came along is closed. */
	HOLDS(lowest_free() == before);
	return 0;
}
