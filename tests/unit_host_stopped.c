// SPDX-License-Identifier: MIT
/*
 * tests/unit_host_stopped.c - a process that is stopped while it holds a file's lock: no call waits for it for ever (INV-6)
 */
#include "host/peer.h"
#include "rt/self.h"
#include "tests/unit_host.h"

#define PAGES 8
#define PATIENCE_US 60e6

static struct host_file file;
static char *view;
static bool frozen_tried;

static pid_t stopped(void (*before)(void), void (*after)(void), bool by_signal)
{
	int status, pipes[2];
	char byte;
	pid_t pid;

	if (pipe(pipes))
		exit(99);
	pid = fork();
	if (!pid) {
		rt_self_renew();
		before();
		if (write(pipes[1], "", 1) != 1)
			_exit(1);
		if (by_signal)
			raise(SIGSTOP);
		else
			pause();
		after();
		_exit(0);
	}
	if (read(pipes[0], &byte, 1) != 1)
		exit(99);
	if (by_signal)
		waitpid(pid, &status, WUNTRACED);
	close(pipes[0]);
	close(pipes[1]);
	return pid;
}

static void take(void)
{
	if (host_file_lock(&file))
		_exit(2);
}

static void give(void)
{
	host_file_unlock(&file);
}

static void holds_the_lock(void)
{
	pid_t pid = stopped(take, give, true);
	double start = now_us();
	int status;

	is(host_file_lock(&file), -EAGAIN, "the lock of a process that is stopped is not waited for");
	is(convert(&file, 0, 1, true), -EAGAIN, "nor by a conversion");
	ok(now_us() - start < PATIENCE_US, "for ever");
	is(load(view), 0, "which has changed nothing");
	kill(pid, SIGCONT);
	is(convert(&file, 0, 1, true), 0, "it is done when the process goes on");
	waitpid(pid, &status, 0);
	is(status, 0, "which has kept its lock until then");
	is(load(view), SIGBUS, "and holds");
	is(convert(&file, 0, 1, false), 0, "back");
}

/* Frozen, or in a debugger: that is not seen as a state, but it gets no CPU time. */
static void holds_it_without_running(void)
{
	pid_t pid = stopped(take, give, false);
	int status;

	is(convert(&file, 0, 1, true), -EAGAIN, "the lock of a process that does not run is given up");
	kill(pid, SIGKILL);
	is(convert(&file, 0, 1, true), 0, "and taken over when it is dead");
	waitpid(pid, &status, 0);
	is(convert(&file, 0, 1, false), 0, "back");
}

static void run(const char *engine)
{
	is(file_new(&file, PAGES * PAGE, false), 0, "%s: a file", engine);
	view = map(&file, PAGES * PAGE, 0);
	memset(view, 1, PAGES * PAGE);
	holds_the_lock();
	/* The lock is no engine's. */
	if (!frozen_tried)
		holds_it_without_running();
	frozen_tried = true;
	is(audit(&file), 0, "%s: the audit", engine);
	host_munmap(view, PAGES * PAGE);
	host_file_fini(&file);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	handlers_install();
	FOR_EACH_ENGINE(run);
	return done_testing();
}
