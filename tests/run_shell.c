// SPDX-License-Identifier: MIT
/*
 * tests/run_shell.c - what starts a shell from within libc, where the shell cannot be served
 *
 * Run by tests/overlay_processes.t with a static program in the place of /bin/sh.
 */
#include <errno.h>
#include <string.h>
#include <wordexp.h>

#include "tests/tap.h"

int main(void)
{
	wordexp_t words;
	FILE *f;

	is(system(":"), 127 << 8, "system(3) ends with 127");
	is(system(NULL), 0, "and says that there is no shell");
	errno = 0;
	f = popen(":", "r");
	ok(!f, "popen(3) fails");
	is(errno, EACCES, "with EACCES");
	is(wordexp("$(echo x)", &words, 0), WRDE_NOSPACE, "wordexp(3) with WRDE_NOSPACE");
	return done_testing();
}
