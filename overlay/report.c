// SPDX-License-Identifier: MIT
/*
 * overlay/report.c - what the broker is told, and asked
 *
 * Messages go out without waiting; when the broker is gone or slow they are
 * dropped, never the program held up.  A connection that could not be made is tried again at the next message.  Only ov_adopt() waits for an answer, for
 * a bounded time.  One socket per process image; a forked child opens its own.
 */
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/socket.h>
#include <linux/un.h>

#include "host/fd.h"
#include "overlay/overlay.h"
#include "rt/format.h"
#include "rt/lock.h"
#include "rt/string.h"

#define AF_UNIX_      1
#define SOCK_SEQPACKET_CLOEXEC (5 | 02000000)
#define SOL_SOCKET_   1
#define SCM_RIGHTS_   1
#define MSG_DONTWAIT_ 0x40
#define MSG_NOSIGNAL_ 0x4000
#define MSG_CMSG_CLOEXEC_ 0x40000000
#define ADOPT_TIMEOUT_MS 2000
#define FLUSH_TIMEOUT_MS 500

/* The C library's struct msghdr is the kernel's. */
struct msghdr {
	void *name;
	u32 namelen;
	struct iovec {
		void *base;
		size_t len;
	} *iov;
	size_t iovlen;
	void *control;
	size_t controllen;
	int flags;
};

struct rights {
	size_t len;
	int level, type;
	int fds[4];
};

static _Atomic int broker_fd = -1;
static bool broker_gone;
static struct rt_lock adopt_lock = RT_LOCK_INIT, connect_lock = RT_LOCK_INIT;

static bool say_hello(void);

static bool connect_broker(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX_ };
	size_t n = rt_strlen(ov_config.broker);
	long ret;
	int fd;

	if (!n || n + 1 > sizeof(addr.sun_path))
		return false;
	fd = host_fd_own_hidden(__NR_socket, AF_UNIX_, SOCK_SEQPACKET_CLOEXEC, 0, 0);
	if (fd < 0)
		return false;
	memcpy(addr.sun_path + 1, ov_config.broker, n);
	ret = rt_syscall(__NR_connect, fd, &addr, offsetof(struct sockaddr_un, sun_path) + 1 + n);
	broker_gone = ret == -ECONNREFUSED;
	if (!rt_is_err(ret)) {
		broker_fd = fd;
		if (say_hello())
			return true;
		broker_fd = -1;
	}
	host_fd_close(fd);
	return false;
}

/* What could not be had at the start, a descriptor or memory, may be there by now. */
static bool connected(void)
{
	bool ret;

	if (broker_fd >= 0 || broker_gone || !rt_trylock(&connect_lock))
		return broker_fd >= 0;
	ret = broker_fd >= 0 || connect_broker();
	rt_unlock(&connect_lock);
	return ret;
}

static void prepare(struct wire_msg *msg, enum wire_kind kind)
{
	memset(msg, 0, sizeof(*msg));
	msg->version = WIRE_VERSION;
	msg->kind = kind;
	msg->pid = (s32)rt_getpid();
	msg->tid = (s32)rt_gettid();
}

static long send_fds(struct wire_msg *msg, const int *fds, unsigned nr_fds)
{
	struct rights rights = { .len = offsetof(struct rights, fds) + nr_fds * sizeof(int),
				 .level = SOL_SOCKET_,
				 .type = SCM_RIGHTS_ };
	struct iovec iov = { msg, sizeof(*msg) };
	struct msghdr hdr = { .iov = &iov, .iovlen = 1 };

	if (!connected())
		return broker_gone || !ov_config.broker[0] ? -ECONNREFUSED : -ENOMEM;
	for (unsigned i = 0; i < nr_fds; i++)
		rights.fds[i] = fds[i];
	if (nr_fds) {
		hdr.control = &rights;
		hdr.controllen = rights.len;
	}
	return rt_syscall(__NR_sendmsg, broker_fd, &hdr, MSG_DONTWAIT_ | MSG_NOSIGNAL_);
}

static bool send_msg(struct wire_msg *msg)
{
	return !rt_is_err(send_fds(msg, NULL, 0));
}

static void set_text(char *dst, size_t size, const char *src)
{
	rt_format(dst, size, "%s", src ? src : "");
}

static bool say_hello(void)
{
	struct wire_msg msg;
	long n;

	prepare(&msg, WIRE_HELLO);
	n = rt_syscall(__NR_readlink, "/proc/self/exe", msg.text, sizeof(msg.text) - 1);
	if (n < 0)
		msg.text[0] = '\0';
	return send_msg(&msg);
}

void ov_report_init(void)
{
	connected();
}

/* Refusals that could not be sent; the next one that can stands for them, too. */
static _Atomic u64 refusals_lost;

void ov_report_refusal(const char *call, const struct core_err *err)
{
	struct wire_msg msg;

	if (!ov_config.explain || err->rule == RULE_NONE)
		return;
	prepare(&msg, WIRE_REFUSAL);
	msg.rule = err->rule;
	msg.error = err->error;
	msg.value = err->value;
	msg.expected = err->expected;
	set_text(msg.call, sizeof(msg.call), call);
	set_text(msg.object, sizeof(msg.object), err->object);
	msg.count = 1 + __atomic_exchange_n((u64 *)(uintptr_t)&refusals_lost, 0, __ATOMIC_RELAXED);
	if (!send_msg(&msg))
		refusals_lost += msg.count;
}

/* One line per instruction, then powers of two: a loop over a private page must not become a flood. */
#define TOUCH_SLOTS 256
static struct touch_slot {
	_Atomic u64 pc;
	_Atomic u64 count, told; /* touches, and as many of them as the broker knows of */
	struct wire_msg last;	 /* what was sent last */
} touches[TOUCH_SLOTS];

/* Another instruction's slot is taken over: what it has not told is lost. */
static struct touch_slot *count_touch(u64 pc)
{
	struct touch_slot *slot = &touches[(unsigned)((pc * 0x9e3779b97f4a7c15ULL) >> 56) % TOUCH_SLOTS];

	if (slot->pc != pc) {
		slot->pc = pc;
		slot->count = slot->told = 0;
	}
	slot->count++;
	return slot;
}

static bool touch_due(u64 count)
{
	return (count & (count - 1)) == 0;
}

/* msg.count: touches by now; msg.value: those that earlier messages told of. */
static void send_touch(struct touch_slot *slot, struct wire_msg *msg)
{
	msg->count = slot->count;
	msg->value = slot->told;
	if (send_msg(msg))
		slot->told = msg->count;
	slot->last = *msg;
}

/* At its end a program may be held up for a moment. */
static void wait_for_room(void)
{
	struct pollfd ready = { .fd = broker_fd, .events = POLLOUT };

	rt_syscall_raw(__NR_poll, (long)&ready, 1, FLUSH_TIMEOUT_MS, 0, 0, 0);
}

/* What is still to be told when the program ends, or another takes its place. */
void ov_report_flush(void)
{
	struct wire_msg msg;

	for (unsigned i = 0; ov_config.explain && i < TOUCH_SLOTS; i++) {
		if (touches[i].told && touches[i].count > touches[i].told) {
			msg = touches[i].last;
			send_touch(&touches[i], &msg);
		}
	}
	if (!ov_config.explain || !refusals_lost)
		return;
	wait_for_room();
	prepare(&msg, WIRE_REFUSAL);
	msg.count = refusals_lost;
	if (send_msg(&msg))
		refusals_lost = 0;
}

static __attribute__((destructor)) void fini(void)
{
	struct ov_guard guard;

	if (!ov_config.active || !ov_config.explain)
		return;
	ov_enter(&guard);
	ov_report_flush();
	ov_leave(&guard);
}

void ov_report_touch(const struct host_fault *fault, const void *addr, u64 pc, bool write)
{
	struct dev_gmem *g = fault->file->owner;
	struct touch_slot *slot;
	struct dev_conversion by;
	struct wire_msg msg;

	if (!ov_config.explain)
		return;
	slot = count_touch(pc);
	if (!touch_due(slot->count))
		return;
	prepare(&msg, WIRE_TOUCH);
	msg.address = (u64)(uintptr_t)addr;
	msg.pc = pc;
	msg.file = fault->file->id;
	msg.offset = fault->offset;
	msg.size = fault->file->size;
	msg.write = write;
	if (fault->beyond_end)
		set_text(msg.text, sizeof(msg.text), "the offset lies beyond the end of the file");
	else if (dev_gmem_converted_by(g, fault->offset >> RT_PAGE_SHIFT, &by))
		rt_format(msg.text, sizeof(msg.text), "made private by KVM_SET_MEMORY_ATTRIBUTES2 of thread %d in process %d",
			  by.tid, by.pid);
	else
		set_text(msg.text, sizeof(msg.text), "private since its creation without GUEST_MEMFD_FLAG_INIT_SHARED");
	send_touch(slot, &msg);
}

bool ov_report_notice(const char *text)
{
	struct wire_msg msg;

	prepare(&msg, WIRE_NOTICE);
	set_text(msg.text, sizeof(msg.text), text);
	return send_msg(&msg);
}

void ov_report_unserved(const char *path, const char *why, int error)
{
	struct wire_msg msg;

	prepare(&msg, WIRE_UNSERVED);
	msg.error = error;
	rt_format(msg.text, sizeof(msg.text), "%s: %s", path, why);
	send_msg(&msg);
}

static void describe_file(struct wire_msg *msg, enum wire_kind kind, const struct dev_gmem *g)
{
	prepare(msg, kind);
	msg->dev = g->obj.host.id.dev;
	msg->ino = g->obj.host.id.ino;
	msg->size = g->core.size;
	msg->flags = g->core.flags;
	msg->vm_type = g->vm->core.type;
	msg->file = g->host.id;
}

/*
 * False when nobody could ever adopt the file, though there is a broker: it was not told for want of memory.  One that
 * takes no messages holds nobody up for longer than a moment.
 */
bool ov_report_file(struct dev_gmem *g)
{
	const int fds[3] = { g->obj.host.keep, g->host.backing, g->host.state };
	struct wire_msg msg;
	long ret;

	describe_file(&msg, WIRE_FILE, g);
	ret = send_fds(&msg, fds, 3);
	if (ret == -EAGAIN) {
		wait_for_room();
		ret = send_fds(&msg, fds, 3);
	}
	return ret != -ENOMEM && ret != -ENOBUFS;
}

void ov_report_file_gone(struct dev_gmem *g)
{
	struct wire_msg msg;

	describe_file(&msg, WIRE_FILE_GONE, g);
	send_msg(&msg);
}

static unsigned nr_rights(const struct rights *rights)
{
	return rights->len ? (unsigned)((rights->len - offsetof(struct rights, fds)) / sizeof(int)) : 0;
}

/* The next answer of the broker's, with its descriptors; false when none comes in time. */
static bool receive_next(struct wire_msg *msg, struct rights *rights)
{
	struct pollfd ready = { .fd = broker_fd, .events = POLLIN };
	struct iovec iov = { msg, sizeof(*msg) };
	struct msghdr hdr = { .iov = &iov, .iovlen = 1, .control = rights, .controllen = sizeof(*rights) };
	long n = rt_syscall(__NR_poll, &ready, 1, ADOPT_TIMEOUT_MS);

	if (n <= 0)
		return false;
	/* What comes along gets the lowest free numbers; the program must not see the contents there. */
	host_fd_flux_begin();
	n = rt_syscall(__NR_recvmsg, broker_fd, &hdr, MSG_DONTWAIT_ | MSG_CMSG_CLOEXEC_);
	rights->len = !rt_is_err(n) && hdr.controllen ? rights->len : 0;
	for (unsigned i = 0; i < nr_rights(rights); i++)
		rights->fds[i] = host_fd_hide(rights->fds[i]);
	host_fd_flux_end();
	return n == (long)sizeof(*msg) && msg->version == WIRE_VERSION;
}

static void close_rights(const struct rights *rights)
{
	for (unsigned i = 0; i < nr_rights(rights); i++)
		host_fd_close(rights->fds[i]);
}

/* The answer to this request: one that came too late for an earlier one is passed over. */
static bool receive_answer(struct host_ident id, struct wire_msg *msg, struct rights *rights)
{
	while (receive_next(msg, rights)) {
		if (msg->dev == id.dev && msg->ino == id.ino)
			return true;
		close_rights(rights);
	}
	return false;
}

struct dev_gmem *ov_adopt(struct host_ident id)
{
	struct rights rights = { .len = 0 };
	struct dev_gmem *g = NULL;
	struct wire_msg msg;
	bool answered;

	prepare(&msg, WIRE_ADOPT);
	msg.dev = id.dev;
	msg.ino = id.ino;
	rt_lock(&adopt_lock);
	answered = send_msg(&msg) && receive_answer(id, &msg, &rights);
	rt_unlock(&adopt_lock);
	if (!answered)
		return NULL;
	if (msg.kind == WIRE_FILE && nr_rights(&rights) == 3 && rights.fds[0] >= 0 && rights.fds[1] >= 0 && rights.fds[2] >= 0)
		g = dev_gmem_adopt(rights.fds[0], rights.fds[1], rights.fds[2], msg.size, msg.flags, msg.vm_type, msg.file);
	else
		close_rights(&rights);
	return g;
}

void ov_report_forked(void)
{
	/* Other threads of the parent's may have been at it. */
	adopt_lock = connect_lock = (struct rt_lock)RT_LOCK_INIT;
	host_fd_close(broker_fd);
	broker_fd = -1;
	/* What the parent has not told it will tell itself. */
	refusals_lost = 0;
	for (unsigned i = 0; i < TOUCH_SLOTS; i++)
		touches[i].pc = 0;
	ov_report_init();
}
