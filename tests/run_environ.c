// SPDX-License-Identifier: MIT
/*
 * tests/run_environ.c - exec without an environment of its own hands on the program's
 *
 * Built as a fixed-address executable that names `environ`, so that the variable lies in it.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

extern char **environ;

static int run(int how)
{
	char name[] = "sh", option[] = "-c", command[] = "test \"$GMEM_TEST_VALUE\" = kept";
	char *const argv[] = { name, option, command, NULL };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (how == 0)
			execvp("sh", argv);
		else if (how == 1)
			execv("/bin/sh", argv);
		else
			execlp("sh", "sh", "-c", argv[2], (char *)NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	return status;
}

int main(void)
{
	setenv("GMEM_TEST_VALUE", "kept", 1);
	ok(environ && environ[0], "there is an environment");
	is(run(0), 0, "execvp");
	is(run(1), 0, "execv");
	is(run(2), 0, "execlp");
	return done_testing();
}
