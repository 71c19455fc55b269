/* SPDX-License-Identifier: MIT */
/*
 * cli/program.h - the program that `gmem run` is to start
 */
#ifndef GMEM_CLI_PROGRAM_H
#define GMEM_CLI_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

#include "overlay/servable.h"

struct program {
	char path[PATH_MAX]; /* as execve(2) takes it */
	bool by_shell;	     /* neither ELF nor "#!": /bin/sh runs it, as env(1) and shells do */
	struct servable verdict;
};

/* Find name as execvp(3) would and judge it: 0; -errno, with verdict.reason set where preload is what fails. */
int program_find(struct program *program, const char *name);
/* Start it: as execve(2) with the given environment; -errno. */
int program_exec(const struct program *program, char *const argv[], char *const envp[]);

/* What belongs to this command: beside it (build tree) or in ../lib/gmem (installed). 0 or -errno, complaint included. */
int program_own_file(const char *name, char path[PATH_MAX]);
/* The preload object belonging to this command, or file itself if not NULL: 0 or -errno, complaint included. */
int program_preload_object(const char *file, char path[PATH_MAX]);
/* The program's LD_PRELOAD: the ASan runtime it needs, then ours, then what was there. -E2BIG. */
int program_preload_list(const struct program *program, const char *object, const char *before, char *buf, size_t size);

#endif
