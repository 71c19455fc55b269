// SPDX-License-Identifier: MIT
/*
 * diff/worker.c - the process that makes steps, and its handle in the process that sends them
 */
#include "diff/diff.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH	   512
#define PATIENCE 60000 /* ms for a batch: longer is a hang */

static int read_all(int fd, void *buf, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, (char *)buf + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		done += (size_t)n;
	}
	return 0;
}

static int write_all(int fd, const void *buf, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, (const char *)buf + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		done += (size_t)n;
	}
	return 0;
}

int diff_worker(const char *model, int in, int out)
{
	static struct diff_step steps[BATCH];
	static struct diff_result results[BATCH];
	struct diff_step ask = { .kind = DIFF_capability, .a = { UINT64_MAX, 235 } };
	struct diff_result types;
	uint32_t count;
	int32_t hello;

	hello = model ? diff_model_begin(model) : diff_execute_begin();
	if (hello == 0) {
		(model ? diff_model : diff_execute)(&ask, &types);
		hello = types.ret > 0 ? (int32_t)types.ret : 1;
	}
	if (write_all(out, &hello, sizeof(hello)) < 0 || hello < 0)
		return 1;
	while (read_all(in, &count, sizeof(count)) == 0 && count <= BATCH) {
		if (read_all(in, steps, count * sizeof(*steps)) < 0)
			return 1;
		for (uint32_t i = 0; i < count; i++)
			(model ? diff_model : diff_execute)(&steps[i], &results[i]);
		if (write_all(out, results, count * sizeof(*results)) < 0)
			return 1;
	}
	return 0;
}

/* Ends of pipes above the ones that a worker gets: they are all close-on-exec. */
static int pipe_above(int pipe_fds[2])
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		pipe_fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
		close(fds[i]);
	}
	return pipe_fds[0] < 0 || pipe_fds[1] < 0 ? -errno : 0;
}

int diff_side_start(struct diff_side *side)
{
	int request[2], answer[2];
	int32_t hello;

	if (pipe_above(request) < 0 || pipe_above(answer) < 0)
		return -EMFILE;
	side->pid = fork();
	if (side->pid < 0)
		return -errno;
	if (side->pid == 0) {
		dup2(request[0], STDIN_FILENO);
		dup2(answer[1], STDOUT_FILENO);
		execv(side->argv[0], (char *const *)(uintptr_t)side->argv);
		_exit(127);
	}
	close(request[0]);
	close(answer[1]);
	side->to = request[1];
	side->from = answer[0];
	if (read_all(side->from, &hello, sizeof(hello)) < 0 || hello < 0) {
		diff_side_stop(side);
		return -ENODEV;
	}
	side->vm_types = (uint32_t)hello;
	return 0;
}

void diff_side_stop(struct diff_side *side)
{
	if (side->pid <= 0)
		return;
	/* It ends by itself at the end of its input; one that hangs in a step does not. */
	close(side->to);
	for (int i = 0; i < 200 && waitpid(side->pid, NULL, WNOHANG) == 0; i++) {
		if (i == 199) {
			kill(side->pid, SIGKILL);
			waitpid(side->pid, NULL, 0);
			break;
		}
		usleep(i < 50 ? 200 : 10000);
	}
	close(side->from);
	side->pid = 0;
}

int diff_side_send(struct diff_side *side, const struct diff_step *steps, unsigned count)
{
	uint32_t n = count;

	if (write_all(side->to, &n, sizeof(n)) < 0)
		return -EPIPE;
	return write_all(side->to, steps, count * sizeof(*steps));
}

int diff_side_receive(struct diff_side *side, struct diff_result *results, unsigned count)
{
	struct pollfd ready = { .fd = side->from, .events = POLLIN };

	if (poll(&ready, 1, PATIENCE) <= 0)
		return -EPIPE;
	return read_all(side->from, results, count * sizeof(*results));
}

bool diff_same(const struct diff_result *a, const struct diff_result *b)
{
	return a->ret == b->ret && a->aux == b->aux && a->sig == b->sig && a->code == b->code;
}
