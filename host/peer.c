// SPDX-License-Identifier: MIT
/*
 * host/peer.c - one file in several processes
 *
 * THEORY OF OPERATION
 *
 * Views can be changed only from inside their process.  So each process with
 * views of a file has an entry in the file's control page and, once the file is
 * shared, a thread that waits there: the helper.  A converter publishes range and
 * direction, numbers the request, wakes the helpers and waits for their answers
 * before it records the new states.
 *
 *  PEER-1  Requests are made only by the holder of the file lock: one at a time.
 *  PEER-2  A helper takes its process's table lock and no other; whoever holds a
 *	    table lock never waits for a peer.  Hence no cycle.
 *  PEER-3  A conversion to private commits only when every living peer has
 *	    denied the range.  No answer in time is -EAGAIN, never "assume done".
 *	    A conversion to shared commits first: a helper opens what the states call
 *	    shared and nothing else, whoever dies, is late or has moved on to another range.
 *  PEER-4  A peer is gone when the kernel cleared its helper's tid (exit,
 *	    exec), or its process is dead or a zombie, or the pid is another's.
 *  PEER-5  A helper that wakes up late finds a higher number than it expects: it
 *	    brings all views in line with the states, which is right whatever it missed,
 *	    as no conversion to private was completed without it.
 */
#include "host/peer.h"

#include <linux/fcntl.h>
#include <linux/signal.h>

#include "host/engine.h"
#include "host/fd.h"
#include "rt/format.h"
#include "rt/self.h"
#include "rt/string.h"
#include "rt/thread.h"

#define STEP_NS	      5000000ULL
#define STEPS_MAX     200 /* 1 s */
#define LOOK_NS	      1000000000ULL
#define LOOK_OFTEN_NS 20000000ULL

static struct host_peer *own_entry(struct host_file *file)
{
	return file->peer < 0 ? NULL : &file->control->peers[file->peer];
}

/* The number behind so many blanks, low bits of it; returns where that is. */
static const char *number_at(const char *at, int blanks, u32 *ret)
{
	u64 value = 0;

	for (; blanks && *at; at++)
		blanks -= *at == ' ';
	for (const char *c = at; *c >= '0' && *c <= '9'; c++)
		value = value * 10 + (u64)(*c - '0');
	*ret = (u32)value;
	return at;
}

struct process_stat {
	char state;
	u32 threads;
	u32 start;
	u64 ticks; /* of CPU time so far */
	u32 exit_code; /* as wait(2) gives it */
};

/*
 * What is wanted of /proc/PID/stat: the name may hold anything, so fields are counted
 * from its last parenthesis.  False when there is no such process or no /proc.
 */
static bool process_stat(u32 pid, struct process_stat *ret)
{
	u32 user, system;
	char path[32], buf[1024];
	const char *at = NULL;
	long fd, n;

	rt_format(path, sizeof(path), "/proc/%u/stat", pid);
	fd = host_fd_own(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
	if (rt_is_err(fd))
		return false;
	n = rt_syscall(__NR_read, fd, buf, sizeof(buf) - 1);
	rt_close((int)fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	for (const char *c = buf; *c; c++) {
		if (*c == ')')
			at = c + 1;
	}
	if (!at || !at[0] || !at[1])
		return false;
	ret->state = at[1];
	/* state is field 3, utime 14, stime 15, num_threads 20, starttime 22, exit_code 52 */
	at = number_at(at, 12, &user);
	at = number_at(at, 1, &system);
	at = number_at(at, 5, &ret->threads);
	at = number_at(at, 2, &ret->start);
	number_at(at, 30, &ret->exit_code);
	ret->ticks = user + system;
	return true;
}

/* Read once per process. */
u32 host_process_start(void)
{
	static _Atomic u32 known_pid, known_start;
	/* A vfork(2) child passes for its parent here as in the lock word: the two must tell of one process. */
	struct process_stat stat = { 0 };
	u32 pid = rt_self_pid();

	if (known_pid == pid)
		return known_start;
	process_stat(pid, &stat);
	known_pid = 0;
	known_start = stat.start;
	known_pid = pid;
	return stat.start;
}

bool host_process_gone(u32 pid, u32 start)
{
	struct process_stat stat;

	if (rt_syscall_raw(__NR_kill, (long)pid, 0, 0, 0, 0, 0) == -ESRCH)
		return true;
	if (!process_stat(pid, &stat))
		return false;
	if (start && stat.start != start)
		return true;
	/* A first thread that has ended is a zombie while others run on with all that the process has. */
	return stat.state == 'X' || (stat.state == 'Z' && stat.threads <= 1);
}

static _Atomic bool look_often;

bool host_process_left(void)
{
	struct process_stat stat;

	if (!process_stat((u32)rt_getpid(), &stat) || stat.state != 'Z' || stat.threads > rt_thread_running() + 1)
		return false;
	rt_thread_exit_code((int)(stat.exit_code >> 8));
	return true;
}

u64 host_look_ns(void)
{
	return look_often ? LOOK_OFTEN_NS : LOOK_NS;
}

void host_process_unknown(void)
{
	look_often = true;
}

bool host_process_stopped(u32 pid, u64 *ticks)
{
	struct process_stat stat;

	if (!process_stat(pid, &stat))
		return false;
	*ticks = stat.ticks;
	return stat.state == 'T';
}

/* PEER-4 */
static bool gone(struct host_peer *peer)
{
	u32 pid = peer->pid;

	return !pid || !peer->helper || host_process_gone(pid, peer->start);
}

/* One request, on the helper's thread. */
static void comply(struct host_file *file, struct host_peer *peer, u32 request, bool missed)
{
	struct host_control *control = file->control;
	struct rt_pages range = { control->transition_first, control->transition_count };
	struct rt_pages all = { 0, file->size >> RT_PAGE_SHIFT };
	int ret;

	table_lock();
	if (control->request == HOST_REQUEST_SETTLE || missed)
		ret = host_views_settle(file, all);
	else
		ret = 0;
	if (ret == 0 && control->request == HOST_REQUEST_DENY)
		ret = host_views_deny(file, range);
	else if (ret == 0 && control->request == HOST_REQUEST_ALLOW)
		ret = host_views_settle(file, range);
	table_unlock();
	if (ret)
		peer->failed = request;
	peer->done = request;
	rt_futex_wake(&peer->done, 1 << 30, true);
}

static void helper_main(void *arg)
{
	struct host_file *file = arg;
	struct host_peer *peer = own_entry(file);
	u32 served = peer->done;

	/* A request that came before the thread ran is served at once; an entry that was given up ends it. */
	while (peer->pid) {
		u32 asked = peer->asked;

		if (asked == served) {
			if (rt_futex_wait(&peer->asked, asked, host_look_ns(), true) == -ETIMEDOUT && host_process_left())
				break;
			continue;
		}
		comply(file, peer, asked, asked - served > 1);
		served = asked;
	}
}

/* Attaching, sharing and being called may coincide. */
static struct rt_lock helper_lock = RT_LOCK_INIT;

/* Requests made before it runs are served by it, so it starts from what was done, not from what was asked. */
static int start_helper(struct host_file *file)
{
	struct host_peer *peer = own_entry(file);
	const u64 all = ~(1ULL << (SIGSEGV - 1) | 1ULL << (SIGBUS - 1));
	u64 mask;
	int ret = 0;

	if (!peer)
		return 0;
	/* No handler of the program may ever run on the helper. */
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, sizeof(mask), 0, 0);
	rt_lock(&helper_lock);
	if (peer->helper == HOST_NO_HELPER)
		ret = rt_thread_start(helper_main, file, &peer->helper, &file->helper_stack);
	if (ret)
		peer->helper = HOST_NO_HELPER;
	rt_unlock(&helper_lock);
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0, 0);
	return ret;
}

int host_peer_attach(struct host_file *file)
{
	struct host_control *control = file->control;

	for (int i = 0; file->peer < 0 && i < HOST_PEERS; i++) {
		struct host_peer *peer = &control->peers[i];

		if (peer->pid && !gone(peer))
			continue;
		peer->helper = HOST_NO_HELPER;
		peer->start = host_process_start();
		peer->failed = peer->done = peer->asked;
		if (control->peers_top <= (u32)i)
			control->peers_top = (u32)i + 1;
		peer->pid = (u32)rt_getpid();
		file->peer = i;
	}
	if (file->peer < 0)
		return -ENFILE;
	return control->shared ? start_helper(file) : 0;
}

void host_peer_detach(struct host_file *file)
{
	struct host_peer *peer = own_entry(file);
	u32 tid;

	if (!peer)
		return;
	peer->pid = 0;
	if (file->helper_stack) {
		peer->asked++;
		rt_futex_wake(&peer->asked, 1 << 30, true);
		while ((tid = peer->helper) != 0)
			rt_futex_wait(&peer->helper, tid, STEP_NS, true);
		rt_munmap(file->helper_stack, RT_THREAD_STACK);
	}
	file->helper_stack = NULL;
	file->peer = -1;
}

void host_peer_share(struct host_file *file)
{
	file->control->shared = 1;
	/* On failure conversions by others are -EAGAIN until host_peer_called() succeeds. */
	start_helper(file);
}

void host_peer_called(struct host_file *file)
{
	if (file->control->shared)
		start_helper(file);
}

void host_peer_forked(struct host_file *file)
{
	helper_lock = (struct rt_lock)RT_LOCK_INIT;
	if (file->peer >= 0 && own_entry(file)->pid == (u32)rt_getpid())
		return;
	file->peer = -1;
	/* The thread is the parent's; its stack was copied. */
	if (file->helper_stack)
		rt_munmap(file->helper_stack, RT_THREAD_STACK);
	file->helper_stack = NULL;
}

void host_peer_leave(struct host_file *file, bool leave)
{
	struct host_peer *peer = own_entry(file);
	u32 self = (u32)rt_getpid();

	if (!peer || peer->helper != HOST_NO_HELPER)
		return;
	if (leave && peer->pid == self)
		peer->pid = 0;
	else if (!leave && !peer->pid)
		peer->pid = self;
}

/* A process that mapped the file while it was alone has no helper yet. */
static void call_process(const struct host_peer *peer)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = HOST_PEER_SIGNAL;
	info.si_code = HOST_PEER_CODE;
	rt_syscall(__NR_rt_sigqueueinfo, peer->pid, HOST_PEER_SIGNAL, &info);
}

/* False when it still owes the answer to an earlier request. */
static bool ask(struct host_peer *peer)
{
	bool prompt = peer->done == peer->asked;

	peer->asked++;
	rt_futex_wake(&peer->asked, 1 << 30, true);
	if (peer->helper == HOST_NO_HELPER)
		call_process(peer);
	return prompt;
}

/* Wait for the answer: 0, -EAGAIN when there is none in time or the peer could not. */
static int await(struct host_peer *peer)
{
	u32 request = peer->asked, done;

	for (int i = 0; i < STEPS_MAX; i++) {
		done = peer->done;
		if (done == request)
			return peer->failed == request ? -EAGAIN : 0;
		if (rt_futex_wait(&peer->done, done, STEP_NS, true) == -ETIMEDOUT && gone(peer)) {
			peer->pid = 0;
			return 0;
		}
	}
	return -EAGAIN;
}

static bool is_peer(const struct host_file *file, int i)
{
	return i != file->peer && file->control->peers[i].pid;
}

static int ask_all(struct host_file *file, u32 request)
{
	struct host_control *control = file->control;
	bool wait[HOST_PEERS];
	int ret = 0, error;

	control->request = request;
	/* Only a denial depends on those that are late already. */
	for (int i = 0; i < HOST_PEERS; i++)
		wait[i] = is_peer(file, i) && (ask(&control->peers[i]) || request == HOST_REQUEST_DENY);
	for (int i = 0; i < HOST_PEERS; i++) {
		error = wait[i] ? await(&control->peers[i]) : 0;
		if (error)
			ret = error;
	}
	return ret;
}

static bool any_peer(const struct host_file *file)
{
	int top = (int)file->control->peers_top;

	for (int i = 0; i < top; i++) {
		if (is_peer(file, i))
			return true;
	}
	return false;
}

int host_peers_deny(struct host_file *file)
{
	struct host_control *control = file->control;

	if (!any_peer(file))
		return 0;
	control->shared = 1;
	host_peer_called(file);
	if (ask_all(file, HOST_REQUEST_DENY) == 0)
		return 0;
	host_peers_settle(file);
	return -EAGAIN;
}

void host_peers_settle(struct host_file *file)
{
	if (any_peer(file))
		ask_all(file, HOST_REQUEST_SETTLE);
}

void host_peers_allow(struct host_file *file)
{
	if (!any_peer(file))
		return;
	file->control->shared = 1;
	host_peer_called(file);
	ask_all(file, HOST_REQUEST_ALLOW);
}
