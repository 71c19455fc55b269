// SPDX-License-Identifier: MIT
/*
 * cli/program.c - the program that `gmem run` is to start
 */
#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define PRELOAD_NAME "libgmem-preload.so"
#define SHELL	     "/bin/sh"
#define DEFAULT_PATH "/bin:/usr/bin"

/* Judge program->path; what only a shell can run is judged by the shell. */
static int judge(struct program *program)
{
	int ret = servable_path(AT_FDCWD, program->path, 0, &program->verdict);

	program->by_shell = ret == -ENOEXEC && !program->verdict.reason;
	if (program->by_shell)
		ret = servable_path(AT_FDCWD, SHELL, 0, &program->verdict);
	return ret;
}

int program_find(struct program *program, const char *name)
{
	const char *path = getenv("PATH");
	bool denied = false;

	program->verdict.reason = NULL;
	if (!*name)
		return -ENOENT;
	if (strchr(name, '/')) {
		if ((size_t)snprintf(program->path, sizeof(program->path), "%s", name) >= sizeof(program->path))
			return -ENAMETOOLONG;
		return judge(program);
	}
	for (const char *dir = path ? path : DEFAULT_PATH;; dir++) {
		int len = (int)strcspn(dir, ":"), ret;

		if ((size_t)snprintf(program->path, sizeof(program->path), "%.*s%s%s", len, dir, len ? "/" : "", name) <
		    sizeof(program->path)) {
			ret = judge(program);
			if (ret == 0 || program->verdict.reason)
				return ret;
			if (ret == -EACCES)
				denied = true;
			else if (ret != -ENOENT && ret != -ENOTDIR)
				return ret;
		}
		dir += len;
		if (!*dir)
			break;
	}
	return denied ? -EACCES : -ENOENT;
}

int program_exec(const struct program *program, char *const argv[], char *const envp[])
{
	char **shell_argv;
	size_t argc = 0;

	if (!program->by_shell) {
		execve(program->path, argv, envp);
		return -errno;
	}
	while (argv[argc])
		argc++;
	shell_argv = calloc(argc + 2, sizeof(*shell_argv));
	if (!shell_argv)
		return -ENOMEM;
	shell_argv[0] = argv[0];
	shell_argv[1] = (char *)(uintptr_t)program->path;
	memcpy(shell_argv + 2, argv + 1, argc * sizeof(*argv) - (argc ? sizeof(*argv) : 0));
	execve(SHELL, shell_argv, envp);
	return -errno;
}

int program_own_file(const char *name, char path[PATH_MAX])
{
	static const char *const places[] = { "", "../lib/gmem/" };
	char self[PATH_MAX], candidate[PATH_MAX + 64], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0) {
		complain("cannot find myself: /proc/self/exe: %m");
		return -errno;
	}
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		slash[1] = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(candidate, sizeof(candidate), "%s%s%s", self, places[i], name);
		if (realpath(candidate, path))
			return 0;
	}
	complain("%s is neither in %s nor in %s../lib/gmem", name, self, self);
	return -ENOENT;
}

int program_preload_object(const char *file, char path[PATH_MAX])
{
	if (!file)
		return program_own_file(PRELOAD_NAME, path);
	if (realpath(file, path))
		return 0;
	complain("%s: %m", file);
	return -errno;
}

/* Append one entry of a list. */
static bool append(char *buf, size_t size, size_t *len, const char *entry, size_t entry_len)
{
	int n = snprintf(buf + *len, size - *len, "%s%.*s", *len ? ":" : "", (int)entry_len, entry);

	if (n < 0 || (size_t)n >= size - *len)
		return false;
	*len += (size_t)n;
	return true;
}

#define SEPARATORS ": \t\n"

/* The ASan runtime in the user's own list, or NULL. */
static const char *user_asan(const char *list, size_t *ret_len)
{
	char name[PATH_MAX];

	for (; list && *list; list += *ret_len + (list[*ret_len] != '\0')) {
		*ret_len = strcspn(list, SEPARATORS);
		if ((size_t)snprintf(name, sizeof(name), "%.*s", (int)*ret_len, list) < sizeof(name) && servable_is_asan(name))
			return list;
	}
	return NULL;
}

int program_preload_list(const struct program *program, const char *object, const char *before, char *buf, size_t size)
{
	size_t len = 0, asan_len = strlen(program->verdict.asan);
	const char *asan = asan_len ? program->verdict.asan : user_asan(before, &asan_len);

	if (asan && !append(buf, size, &len, asan, asan_len))
		return -E2BIG;
	if (!append(buf, size, &len, object, strlen(object)))
		return -E2BIG;
	/*
	 * The loader separates by colons and blanks alike.  The object need not stand twice; an ASan runtime of the user's
	 * own does, so that it can be told from one that is only there for the program (overlay/environ.c, ENV-1).
	 */
	while (before && *before) {
		size_t n = strcspn(before, SEPARATORS);
		bool ours = n == strlen(object) && !memcmp(before, object, n);

		if (n && !ours && !append(buf, size, &len, before, n))
			return -E2BIG;
		before += n + (before[n] != '\0');
	}
	return 0;
}
