// SPDX-License-Identifier: MIT
/*
 * tests/unit_peer.c - other processes as a conversion sees them: TRANSITION-2, TRANSITION-3, PEER-4
 */
#include <pthread.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "host/peer.h"
#include "tests/unit_host.h"
#include "uapi/mm.h"

static void *sleeper(void *arg)
{
	pause();
	return NULL;
}

static char state_of(pid_t pid)
{
	char path[40], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f))
		text[0] = '\0';
	if (f)
		fclose(f);
	return strrchr(text, ')') ? strrchr(text, ')')[2] : '?';
}

/* A program whose first thread has ended is shown as a zombie and goes on. */
static void first_thread_ended(void)
{
	pid_t pid = fork();
	pthread_t thread;

	if (pid == 0) {
		pthread_create(&thread, NULL, sleeper, NULL);
		pthread_exit(NULL);
	}
	for (int i = 0; i < 3000 && state_of(pid) != 'Z'; i++)
		usleep(10000);
	is(state_of(pid), 'Z', "a process whose first thread has ended looks like a zombie");
	ok(!host_process_gone((u32)pid, 0), "but it is not gone");
	kill(pid, SIGKILL);
	for (int i = 0; i < 3000 && !host_process_gone((u32)pid, 0); i++)
		usleep(10000);
	ok(host_process_gone((u32)pid, 0), "killed, it is, before anybody has waited for it");
	waitpid(pid, NULL, 0);
}

static bool readable(char *at)
{
	char byte;
	struct iovec local = { &byte, 1 }, remote = { at, 1 };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

/* As the helper finds things when another process, owner, makes pages [0, 4) private. */
static void foreign_conversion(struct host_file *file, u32 owner)
{
	struct host_control *control = file->control;

	control->owner = owner;
	control->transition_first = 0;
	control->transition_count = 4;
	control->transition_private = 1;
	control->seq = (control->seq | 3) + 2;
	table_lock();
	host_views_deny(file, (struct rt_pages){ 0, 4 });
	table_unlock();
}

static void denied_meanwhile(const char *engine)
{
	pid_t other = fork();
	struct host_file file;
	char *view;

	if (other == 0) {
		pause();
		_exit(0);
	}
	file_new(&file, 1024 * PAGE, false);
	view = map(&file, 1024 * PAGE, 0);
	memset(view, 1, 8 * PAGE);
	if (host_caps()->guard)
		host_madvise_guard(view, PAGE, MADV_GUARD_INSTALL);
	foreign_conversion(&file, (u32)other);
	ok(!readable(view + PAGE), "%s: denied for a conversion elsewhere", engine);
	host_madvise_drop(view, 8 * PAGE, MADV_DONTNEED);
	ok(!readable(view + PAGE), "%s: MADV_DONTNEED opens nothing of it", engine);
	ok(readable(view + 5 * PAGE), "%s: and what lies behind stays open", engine);
	if (host_caps()->guard) {
		host_madvise_guard(view, 8 * PAGE, MADV_GUARD_REMOVE);
		ok(!readable(view) && !readable(view + PAGE), "%s: nor does the end of guard pages", engine);
	}
	/* The other one is alive and does not move: a touch does not wait for ever. */
	is(load(view + PAGE), 0, "%s: a touch that has waited long opens the page", engine);
	ok(!(file.control->seq & 1), "%s: by calling the conversion off", engine);

	foreign_conversion(&file, (u32)other);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	is(load(view + PAGE), 0, "%s: with the converter dead the page opens again", engine);
	file.control->seq |= 1;
	is(convert(&file, 0, 4, true), 0, "%s: and the lock is taken over", engine);
	ok(!(file.control->seq & 1) && load(view + PAGE) == SIGBUS, "%s: by a conversion like any other", engine);
	host_munmap(view, 1024 * PAGE);
	host_file_fini(&file);
}

int main(void)
{
	handlers_install();
	first_thread_ended();
	FOR_EACH_ENGINE(denied_meanwhile);
	return done_testing();
}
