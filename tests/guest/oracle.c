// SPDX-License-Identifier: MIT
/*
 * tests/guest/oracle.c - the first program of an oracle's kernel: loads KVM, asks it, prints the answers, ends
 *
 * In its file system: /modules/N*.ko in the order of their names, where KVM is
 * modules, and /gmem.  Memory errors are asked for, too: the machine is thrown away.
 * The answers stand between two markers on the console.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The command's exit status; what it prints goes to a file, so that nothing of the kernel comes between. */
static int ask(const char *cases)
{
	int status = -1, fd;
	pid_t pid = fork();

	if (pid == 0) {
		fd = open(ANSWERS, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd < 0)
			_exit(126);
		dup2(fd, STDOUT_FILENO);
		execl("/gmem", "gmem", "check", "--against", "kernel", "--answers", "--poison", cases, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static void print_answers(void)
{
	FILE *in = fopen(ANSWERS, "r");
	int c;

	if (!in)
		return;
	while ((c = getc(in)) != EOF)
		putchar(c);
	fclose(in);
}

/* A word of the kernel's command line that it does not know is in the environment: cases=vcpu. */
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
	status = ask(getenv("cases"));
	printf("\noracle: begin\n");
	print_answers();
	printf("oracle: end %d\n", status);
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	sync();
	reboot(RB_AUTOBOOT);
	return 1;
}
