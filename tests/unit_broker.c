// SPDX-License-Identifier: MIT
/*
 * tests/unit_broker.c - the broker as served programs see it (cli/broker.c, cli/keep.c)
 *
 * A broker runs in a child process; its own child, the "program", does nothing
 * but wait to be told to exit.  The test speaks overlay/wire.h in the place of served processes.
 */
#include "cli/broker.c"
#include "cli/keep.c"
#include "cli/report.c"
#include "cli/words.c"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/tap.h"

#define PATIENCE_MS 3000

struct run {
	struct broker broker; /* name and listener only */
	struct report report;
	pid_t pid;
	int quit;    /* closing it ends the program */
	int lines;   /* what the broker prints */
};

/* A file as the overlay announces it: three memfds, re-opened. */
struct file {
	int placeholder, backing, state;
	struct wire_msg msg;
};

static void start(struct run *run)
{
	int quit[2], lines[2];
	sigset_t signals;

	if (pipe2(quit, O_CLOEXEC) || pipe2(lines, O_CLOEXEC))
		exit(1);
	run->report = (struct report){ .fd = lines[1], .explain = true };
	if (broker_open(&run->broker, &run->report) < 0)
		exit(1);
	fflush(stdout);
	run->pid = fork();
	if (run->pid == 0) {
		pid_t child;
		char byte;

		broker_signals(&signals);
		sigprocmask(SIG_BLOCK, &signals, NULL);
		child = fork();
		if (child == 0) {
			/* Without exec nothing is closed: hold no file that a test looks at. */
			dup2(quit[0], STDIN_FILENO);
			close_others(NULL, 0);
			_exit(read(STDIN_FILENO, &byte, 1) == 0 ? 33 : 34);
		}
		if (broker_settle(&run->broker, child) != 0)
			_exit(99);
		_exit(WEXITSTATUS(broker_run(&run->broker)));
	}
	close(quit[0]);
	close(lines[1]);
	close(run->broker.listener);
	run->quit = quit[1];
	run->lines = lines[0];
}

static int stop(struct run *run)
{
	int status = 0;

	close(run->quit);
	waitpid(run->pid, &status, 0);
	close(run->lines);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int dial(const struct run *run)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path + 1, run->broker.name, strlen(run->broker.name));
	if (connect(fd, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(run->broker.name))) != 0)
		diag("connect: %s", strerror(errno));
	return fd;
}

static void say(int fd, const struct wire_msg *msg, const int *fds, unsigned count)
{
	struct broker_peer peer = { .fd = fd };

	send_answer(&peer, msg, fds, count);
}

static struct wire_msg message(enum wire_kind kind)
{
	return (struct wire_msg){ .version = WIRE_VERSION, .kind = kind, .pid = 100, .tid = 101 };
}

static void hello(int fd, const char *program)
{
	struct wire_msg msg = message(WIRE_HELLO);

	strcpy(msg.text, program);
	say(fd, &msg, NULL, 0);
}

/* A line of the report within patience; "" if there is none. */
static const char *line(const struct run *run)
{
	static char buf[REPORT_LINE];
	struct pollfd ready = { .fd = run->lines, .events = POLLIN };
	size_t len = 0;

	while (poll(&ready, 1, PATIENCE_MS) == 1 && len < sizeof(buf) - 1 && read(run->lines, buf + len, 1) == 1) {
		if (buf[len] == '\n')
			break;
		len++;
	}
	buf[len] = '\0';
	return buf;
}

/* The answer to an adoption: its errno, or 0 and the descriptors. */
static int adopt(int fd, const struct file *file, int fds[KEEP_FDS])
{
	union {
		char buf[CMSG_SPACE(KEEP_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct wire_msg msg = message(WIRE_ADOPT);
	struct iovec io = { &msg, sizeof(msg) };
	struct msghdr head = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.buf,
			       .msg_controllen = sizeof(control.buf) };
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	msg.dev = file->msg.dev;
	msg.ino = file->msg.ino;
	say(fd, &msg, NULL, 0);
	if (poll(&ready, 1, PATIENCE_MS) != 1 || recvmsg(fd, &head, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(msg))
		return -1;
	if (msg.kind != WIRE_FILE)
		return msg.error;
	if (!CMSG_FIRSTHDR(&head) || CMSG_FIRSTHDR(&head)->cmsg_len != CMSG_LEN(KEEP_FDS * sizeof(int)) ||
	    msg.size != file->msg.size)
		return -2;
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&head)), KEEP_FDS * sizeof(int));
	return 0;
}

static int reopen(int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDWR | O_CLOEXEC);
}

static int reopened_memfd(const char *name, off_t size)
{
	int first = memfd_create(name, MFD_CLOEXEC), fd = reopen(first);

	if (fd < 0 || ftruncate(fd, size))
		exit(1);
	close(first);
	return fd;
}

static struct file make_file(void)
{
	static u64 number;
	struct file file = { .placeholder = reopened_memfd("placeholder", 0),
			     .backing = reopened_memfd("backing", 8192),
			     .state = reopened_memfd("state", 4096) };
	struct stat st;

	if (fstat(file.placeholder, &st))
		exit(1);
	file.msg = message(WIRE_FILE);
	file.msg.dev = st.st_dev;
	file.msg.ino = st.st_ino;
	file.msg.size = 8192;
	file.msg.file = ++number;
	return file;
}

static void announce(int fd, const struct file *file)
{
	const int fds[KEEP_FDS] = { file->placeholder, file->backing, file->state };

	say(fd, &file->msg, fds, KEEP_FDS);
}

/* What the creator hid goes with it. */
static void forget(struct file *file)
{
	close(file->placeholder);
	close(file->backing);
	close(file->state);
}

static bool is_kept(int fd, const struct file *file)
{
	int fds[KEEP_FDS], error = adopt(fd, file, fds);

	if (error == 0)
		close_fds(fds, KEEP_FDS);
	return error == 0;
}

/* Wait until the broker keeps the file, or does so no more; whether it came to that. */
static bool becomes_kept(int fd, const struct file *file, bool wanted)
{
	for (int waited = 0; waited < PATIENCE_MS; waited += 20) {
		if (is_kept(fd, file) == wanted)
			return true;
		usleep(20000);
	}
	return false;
}

/* Whether the broker keeps the file for longer than all its retries take. */
static bool stays_kept(int fd, const struct file *file)
{
	for (int waited = 0; waited < 2 * RETRIES * RETRY_MS; waited += 20) {
		if (!is_kept(fd, file))
			return false;
		usleep(20000);
	}
	return true;
}

static void test_reports(void)
{
	struct wire_msg msg = message(WIRE_REFUSAL);
	struct run run;
	int fd;

	start(&run);
	fd = dial(&run);
	hello(fd, "/usr/bin/vmm");
	msg.rule = RULE_CREATE_FLAGS;
	msg.error = EINVAL;
	msg.value = 0x13;
	msg.expected = 3;
	strcpy(msg.call, "KVM_CREATE_GUEST_MEMFD");
	strcpy(msg.object, "flags");
	say(fd, &msg, NULL, 0);
	ok(strstr(line(&run), "gmem: vmm[100/101]: KVM_CREATE_GUEST_MEMFD: flags = MMAP|INIT_SHARED|0x10, expected that") != NULL,
	   "a refusal names program, call, and the flags in words");
	strcpy(msg.object, "size");
	msg.value = 0x1001;
	msg.expected = 0;
	msg.rule = RULE_CREATE_SIZE_ALIGN;
	say(fd, &msg, NULL, 0);
	ok(strstr(line(&run), "size = 0x1001, expected that size is a multiple of the page size: EINVAL (rule gmem-size-align;")
	   != NULL, "sizes are in hex, and the rule is named");
	msg.rule = 100000;
	say(fd, &msg, NULL, 0);
	ok(strstr(line(&run), "(rule ?;") != NULL, "a rule that is none does no harm");

	msg = message(WIRE_TOUCH);
	msg.address = 0x7f0000001000;
	msg.pc = 0x401234;
	msg.offset = 0x1000;
	msg.size = 0x4000;
	msg.count = 4;
	msg.write = 1;
	say(fd, &msg, NULL, 0);
	ok(strstr(line(&run), "store to a private page: address 0x7f0000001000, pc 0x401234, file 0, offset 0x1000, 4 times") != NULL,
	   "a touch names address, instruction, offset and count");
	msg.offset = 0x4000;
	say(fd, &msg, NULL, 0);
	ok(strstr(line(&run), "missing page") != NULL, "a touch beyond the end is told apart");

	msg = message(WIRE_UNSERVED);
	memset(msg.text, 'x', sizeof(msg.text));
	msg.error = EACCES;
	say(fd, &msg, NULL, 0);
	ok(strstr(line(&run), "not started: xxx") != NULL, "text without an end is cut");
	msg = message(WIRE_NOTICE);
	strcpy(msg.text, "last words");
	say(fd, &msg, NULL, 0);
	close(fd);
	close(run.quit);
	run.quit = -1;
	ok(strstr(line(&run), "last words") != NULL, "what was sent before the program ended is printed");
	is(stop(&run), 33, "the broker ends with the program's status");
}

static void test_protocol(void)
{
	struct wire_msg msg = message(WIRE_NOTICE);
	struct file file = make_file();
	struct run run;
	int fd, other, fds[KEEP_FDS];

	start(&run);
	fd = dial(&run);
	is(adopt(fd, &file, fds), ENODEV, "a file that nobody announced cannot be adopted");
	is(send(fd, "short", 5, MSG_NOSIGNAL), 5, "a message of another size is sent");
	ok(strstr(line(&run), "another version") != NULL, "... and reported");
	is(adopt(fd, &file, fds), -1, "... and its sender is not listened to any more");
	other = dial(&run);
	msg.version++;
	say(other, &msg, NULL, 0);
	ok(strstr(line(&run), "another version") != NULL, "so is one of another version");
	close(other);
	other = dial(&run);
	say(other, &file.msg, (const int[]){ file.backing }, 1);
	ok(strstr(line(&run), "cannot be adopted") != NULL, "a file without its three descriptors is not kept");
	is(adopt(other, &file, fds), ENODEV, "... and cannot be adopted");
	close(fd);
	close(other);
	forget(&file);
	is(stop(&run), 33, "all this does not end the broker");
}

static void test_creator_alive(void)
{
	struct file file = make_file();
	struct wire_msg gone = file.msg;
	struct run run;
	int creator, other, app;

	start(&run);
	creator = dial(&run);
	other = dial(&run);
	announce(creator, &file);
	ok(becomes_kept(other, &file, true), "a file that was announced can be adopted");
	ok(stays_kept(other, &file), "one just born is not taken for dead while its creator lives");

	app = reopen(file.placeholder);
	gone.kind = WIRE_FILE_GONE;
	say(creator, &gone, NULL, 0);
	ok(stays_kept(other, &file), "the creator's word alone does not end a file that somebody has open");
	close(app);
	ok(becomes_kept(other, &file, false), "... but its last close does, then");

	announce(creator, &file);
	ok(becomes_kept(other, &file, true), "a file can be announced again");
	say(creator, &gone, NULL, 0);
	ok(becomes_kept(other, &file, false), "a file that is gone, and unused, is dropped while its creator lives");
	close(creator);
	close(other);
	forget(&file);
	stop(&run);
}

/* The creator dies; what holds the file afterwards is made by hold(), and ended by closing the result. */
static void survives(int (*hold)(const struct file *file), void (*release)(int fd), const char *what)
{
	struct file file = make_file();
	struct run run;
	int creator, other, held, app = reopen(file.placeholder);

	start(&run);
	creator = dial(&run);
	other = dial(&run);
	announce(creator, &file);
	becomes_kept(other, &file, true);
	held = hold(&file);
	close(app);
	forget(&file);
	close(creator);
	ok(stays_kept(other, &file), "a file outlives its creator in %s", what);
	release(held);
	ok(becomes_kept(other, &file, false), "... and dies with it");
	close(other);
	stop(&run);
}

static int hold_descriptor(const struct file *file)
{
	return reopen(file->placeholder);
}

static void release_descriptor(int fd)
{
	close(fd);
}

/* In flight: sent, not received. */
static int in_flight[2];

static int hold_message(const struct file *file)
{
	int fd = reopen(file->placeholder);
	struct wire_msg msg = message(WIRE_NOTICE);

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, in_flight))
		exit(1);
	say(in_flight[0], &msg, &fd, 1);
	close(fd);
	return 0;
}

static void release_message(int fd)
{
	close(in_flight[0]);
	close(in_flight[1]);
}

static void *mapping;

static int hold_mapping(const struct file *file)
{
	int fd = reopen(file->backing);

	mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return 0;
}

static void release_mapping(int fd)
{
	munmap(mapping, 4096);
}

static void test_crash(void)
{
	struct file file = make_file();
	struct run run;
	int creator, other;

	start(&run);
	creator = dial(&run);
	other = dial(&run);
	announce(creator, &file);
	becomes_kept(other, &file, true);
	/* Dies before the program got its descriptor. */
	forget(&file);
	close(creator);
	ok(becomes_kept(other, &file, false), "nothing is left of a file whose creator died before giving it out");
	close(other);
	stop(&run);
}

static void test_contents(void)
{
	struct file file = make_file();
	struct run run;
	int creator, other, app = reopen(file.placeholder), fds[KEEP_FDS] = { -1, -1, -1 };
	char text[8] = "";

	if (pwrite(file.backing, "guest", 5, 0) != 5)
		exit(1);
	start(&run);
	creator = dial(&run);
	announce(creator, &file);
	other = dial(&run);
	becomes_kept(other, &file, true);
	forget(&file);
	close(creator);
	is(adopt(other, &file, fds), 0, "after the creator's death the file is adopted");
	ok(pread(fds[1], text, 5, 0) == 5 && !strcmp(text, "guest"), "... with its contents");
	close_fds(fds, KEEP_FDS);
	close(app);
	close(other);
	stop(&run);
}

int main(void)
{
	test_reports();
	test_protocol();
	test_creator_alive();
	survives(hold_descriptor, release_descriptor, "somebody's descriptor");
	survives(hold_message, release_message, "a message in flight");
	survives(hold_mapping, release_mapping, "nothing but a mapping");
	test_crash();
	test_contents();
	return done_testing();
}
