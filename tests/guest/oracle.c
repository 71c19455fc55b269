// SPDX-License-Identifier: MIT
/*
 * tests/guest/oracle.c - the first program of an oracle's kernel: loads KVM, asks it, prints the answers, ends
 *
 * In its file system: /modules/N*.ko in the order of their names, where KVM is
 * modules, and /job, a command with its arguments, one a line.  What it prints stands
 * between markers on the console: its output, then what it says on stderr.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CONSOLE_OFF 6 /* of klogctl(2) */
#define ANSWERS	    "/tmp/answers"
#define COMPLAINTS  "/tmp/complaints"
#define ARGS_MAX    16

static void load_modules(void)
{
	glob_t found;

	if (glob("/modules/*.ko", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int fd = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
			perror(found.gl_pathv[i]);
		close(fd);
	}
	globfree(&found);
}

static void divert(int to, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		_exit(126);
	dup2(fd, to);
}

static void run_job(void)
{
	static char text[1024];
	char *argv[ARGS_MAX + 1] = { NULL }, *save = NULL;
	int fd = open("/job", O_RDONLY | O_CLOEXEC), n = 0;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		_exit(125);
	for (char *word = strtok_r(text, "\n", &save); word && n < ARGS_MAX; word = strtok_r(NULL, "\n", &save))
		argv[n++] = word;
	divert(STDOUT_FILENO, ANSWERS);
	divert(STDERR_FILENO, COMPLAINTS);
	execv(argv[0], argv);
	_exit(127);
}

/* The job's exit status; what it prints goes to files, so that nothing of the kernel comes between. */
static int do_job(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		run_job();
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static void print(const char *path)
{
	FILE *in = fopen(path, "r");
	int c;

	if (!in)
		return;
	while ((c = getc(in)) != EOF)
		putchar(c);
	fclose(in);
}

int main(void)
{
	struct termios raw;
	int status;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mkdir("/tmp", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
	/* The kernel opened no console where its archive has no device. */
	if (!freopen("/dev/console", "w", stdout) || !freopen("/dev/console", "w", stderr))
		return 1;
	if (!tcgetattr(STDOUT_FILENO, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(STDOUT_FILENO, TCSANOW, &raw);
	}
	load_modules();
	klogctl(CONSOLE_OFF, NULL, 0);
	status = do_job();
	printf("\noracle: begin\n");
	print(ANSWERS);
	printf("oracle: said\n");
	print(COMPLAINTS);
	printf("oracle: end %d\n", status);
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	sync();
	reboot(RB_AUTOBOOT);
	return 1;
}
