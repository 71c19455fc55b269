// SPDX-License-Identifier: MIT
/*
 * cli/filtered.c - `gmem run` started by a served program that has installed a seccomp filter
 *
 * The filter is that program's, and counts for whatever it starts.  Of the programs that it starts gmem keeps its
 * own calls out of the filter (overlay/seccomp.c); this one is an ordinary program with ordinary calls.
 * What is forbidden by an errno is told where it happens; what ends the process is told here, as far as it can be.
 */
#include "cli/filtered.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* For a filter that traps. */
static void forbidden(int sig, siginfo_t *info, void *context)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "gmem: the seccomp filter in force forbids system call %d, which gmem run needs\n",
			 info->si_syscall);

	(void)sig;
	(void)context;
	/* Should that fail, the status has to do. */
	_exit(write(STDERR_FILENO, text, (size_t)n) == n ? EXIT_GMEM : 128 + SIGSYS);
}

void filtered_warn(void)
{
	struct sigaction action = { .sa_sigaction = forbidden, .sa_flags = SA_SIGINFO | SA_RESETHAND };

	if (!getenv("GMEM_FILTERED"))
		return;
	/* Before anything else: a filter that kills leaves no time for it. */
	complain("started by a program with a seccomp filter: if that forbids a call that gmem run makes, it may end by SIGSYS");
	sigaction(SIGSYS, &action, NULL);
}
