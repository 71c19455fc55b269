// SPDX-License-Identifier: MIT
/*
 * overlay/exec.c - programs that a served program starts
 *
 * They inherit the emulation also when the caller passes a fresh environment,
 * and one that preload cannot serve does not start, since it would use the real
 * kernel unnoticed: EACCES and a report (`--allow-unserved` lets it).
 */
#include <stdarg.h>

#include <linux/fcntl.h>

#include "overlay/environ.h"
#include "overlay/overlay.h"
#include "overlay/servable.h"
#include "rt/format.h"
#include "rt/string.h"
#include "rt/user.h"

static void before_exec(void)
{
	struct ov_guard guard;

	if (!ov_config.active)
		return;
	ov_enter(&guard);
	ov_report_flush();
	ov_signal_before_exec();
	dev_exec_leave(true);
	ov_leave(&guard);
}

static void exec_failed(void)
{
	struct ov_guard guard;

	if (!ov_config.active)
		return;
	ov_enter(&guard);
	dev_exec_leave(false);
	ov_signal_restore();
	ov_leave(&guard);
}

/* For the function that calls exec: env.vars is what to pass. */
#define ENV_FOR_EXEC(envp, target, env)                                                                                \
	do {                                                                                                           \
		ov_env_measure((envp), (target)->asan, (env));                                                         \
		if ((env)->size)                                                                                       \
			ov_env_build((envp), (target)->asan, (env), __builtin_alloca((env)->size));                    \
	} while (0)

/* 0 to go on; -EACCES when the program cannot be served and must be, -ENOMEM and the like when nothing can be said. */
static int check_servable(int dir, const char *path, int flags, struct servable *s)
{
	char link[40], name[128];
	long ret;

	s->asan[0] = '\0';
	if (!ov_config.active)
		return 0;
	ret = servable_path(dir, path, flags, s);
	/* What cannot be judged now is not started. */
	if (ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE)
		return ret;
	/* What exec itself would refuse is left to it. */
	if (ret >= 0 || !s->reason)
		return 0;
	if (!*path) {
		rt_format(link, sizeof(link), "/proc/self/fd/%d", dir);
		ret = rt_syscall(__NR_readlink, link, name, sizeof(name) - 1);
		name[ret > 0 ? ret : 0] = '\0';
		path = ret > 0 ? name : link;
	}
	ov_report_unserved(path, s->reason, ov_config.allow_unserved ? 0 : EACCES);
	return ov_config.allow_unserved ? 0 : -EACCES;
}

static long exec_at(int dir, const char *path, char *const *argv, char *const *envp, int flags, bool at)
{
	struct servable target;
	struct ov_env env;
	long ret = check_servable(dir, path, flags, &target);

	if (ret < 0)
		return ret;
	ENV_FOR_EXEC(envp, &target, &env);
	before_exec();
	if (at)
		ret = ov_raw(__NR_execveat, dir, path, argv, env.vars, flags);
	else
		ret = ov_raw(__NR_execve, path, argv, env.vars);
	exec_failed();
	return ret;
}

int ov_execve(const char *path, char *const *argv, char *const *envp)
{
	return (int)ov_ret(exec_at(AT_FDCWD, path, argv, envp, 0, false));
}

int ov_execv(const char *path, char *const *argv)
{
	return ov_execve(path, argv, ov_environ());
}

int ov_fexecve(int fd, char *const *argv, char *const *envp)
{
	return (int)ov_ret(exec_at(fd, "", argv, envp, 0x1000 /* AT_EMPTY_PATH */, true));
}

long ov_execveat(int dir, const char *path, char *const *argv, char *const *envp, int flags)
{
	return exec_at(dir, path, argv, envp, flags, true);
}

#define PATH_ROOM 4096
static const char default_path[] = "/bin:/usr/bin";

static const char *search_path(void)
{
	char *const *env = ov_environ();
	const char *value;

	for (size_t i = 0; env && env[i]; i++) {
		value = rt_after_prefix(env[i], "PATH=");
		if (value)
			return value;
	}
	return default_path;
}

static bool has_slash(const char *file)
{
	for (; *file; file++) {
		if (*file == '/')
			return true;
	}
	return false;
}

/* Next "DIR/FILE" of the search path; returns where to go on, NULL at the end. */
static const char *next_candidate(const char *path, const char *file, char *buf)
{
	size_t n = 0;

	while (path[n] && path[n] != ':')
		n++;
	if (n + rt_strlen(file) + 2 > PATH_ROOM) {
		buf[0] = '\0';
	} else {
		memcpy(buf, path, n);
		rt_format(buf + n, PATH_ROOM - n, "%s%s", n ? "/" : "", file);
	}
	return path[n] ? path + n + 1 : NULL;
}

/* The file that exec would find: in buf, or -ENOENT. */
static int resolve(const char *file, char *buf)
{
	const char *path = search_path();

	if (has_slash(file)) {
		rt_format(buf, PATH_ROOM, "%s", file);
		return 0;
	}
	while (path) {
		path = next_candidate(path, file, buf);
		if (buf[0] && ov_raw(__NR_faccessat, AT_FDCWD, buf, 1 /* X_OK */) == 0)
			return 0;
	}
	return -ENOENT;
}

/* libc does the searching, also of scripts without #!; only the program that will be found is judged. */
int ov_execvpe(const char *file, char *const *argv, char *const *envp)
{
	int (*next)(const char *, char *const *, char *const *) =
		(int (*)(const char *, char *const *, char *const *))ov_next_lookup(OV_NEXT_execvpe);
	char buf[PATH_ROOM];
	struct servable target = { 0 };
	struct ov_env env;
	long ret = resolve(file, buf) < 0 ? 0 : check_servable(AT_FDCWD, buf, 0, &target);

	if (ret < 0)
		return (int)ov_ret(ret);
	ENV_FOR_EXEC(envp, &target, &env);
	if (!next)
		return ov_execve(buf, argv, env.vars);
	before_exec();
	next(file, argv, env.vars);
	ret = ov_last_errno();
	exec_failed();
	return (int)ov_ret(ret);
}

int ov_execvp(const char *file, char *const *argv)
{
	return ov_execvpe(file, argv, ov_environ());
}

/* execl and its kin: the arguments up to NULL, as an array on the stack. */
static size_t count_args(va_list ap)
{
	size_t n = 1;

	while (va_arg(ap, char *))
		n++;
	return n + 1;
}

static void take_args(char **argv, const char *first, va_list ap)
{
	*argv++ = (char *)(uintptr_t)first;
	do {
		*argv = va_arg(ap, char *);
	} while (*argv++);
}

#define ARGS_ON_STACK(argv, first)                                                                                     \
	do {                                                                                                           \
		va_list count_;                                                                                        \
		va_start(count_, first);                                                                               \
		(argv) = __builtin_alloca(count_args(count_) * sizeof(char *));                                        \
		va_end(count_);                                                                                        \
	} while (0)

int ov_execl(const char *path, const char *arg, ...)
{
	char **argv;
	va_list ap;

	ARGS_ON_STACK(argv, arg);
	va_start(ap, arg);
	take_args(argv, arg, ap);
	va_end(ap);
	return ov_execve(path, argv, ov_environ());
}

int ov_execlp(const char *file, const char *arg, ...)
{
	char **argv;
	va_list ap;

	ARGS_ON_STACK(argv, arg);
	va_start(ap, arg);
	take_args(argv, arg, ap);
	va_end(ap);
	return ov_execvpe(file, argv, ov_environ());
}

/* The environment follows the NULL. */
int ov_execle(const char *path, const char *arg, ...)
{
	char **argv, *const *envp;
	va_list ap;

	ARGS_ON_STACK(argv, arg);
	va_start(ap, arg);
	take_args(argv, arg, ap);
	envp = va_arg(ap, char *const *);
	va_end(ap);
	return ov_execve(path, argv, envp);
}

typedef int spawn_function(int *pid, const char *path, const void *actions, const void *attr, char *const *argv,
			   char *const *envp);

/* posix_spawn returns the error number. */
static int spawn(enum ov_next_id id, int *pid, const char *path, const void *actions, const void *attr,
		 char *const *argv, char *const *envp)
{
	spawn_function *next = (spawn_function *)ov_next_lookup(id);
	char buf[PATH_ROOM];
	struct servable target = { 0 };
	struct ov_env env;
	long ret = 0;

	if (id == OV_NEXT_posix_spawn)
		ret = check_servable(AT_FDCWD, path, 0, &target);
	else if (resolve(path, buf) == 0)
		ret = check_servable(AT_FDCWD, buf, 0, &target);
	if (ret < 0)
		return (int)-ret;
	ENV_FOR_EXEC(envp, &target, &env);
	return next ? next(pid, path, actions, attr, argv, env.vars) : ENOSYS;
}

int ov_posix_spawn(int *pid, const char *path, const void *actions, const void *attr, char *const *argv,
		   char *const *envp)
{
	return spawn(OV_NEXT_posix_spawn, pid, path, actions, attr, argv, envp);
}

int ov_posix_spawnp(int *pid, const char *file, const void *actions, const void *attr, char *const *argv,
		    char *const *envp)
{
	return spawn(OV_NEXT_posix_spawnp, pid, file, actions, attr, argv, envp);
}

/*
 * system(), popen() and wordexp() start the shell from within libc, with the program's own environment.
 * The shell is a program like others; it starts the rest by wrappers again.
 */
static const char shell[] = "/bin/sh";

static long before_shell(void)
{
	struct servable target;
	long ret = check_servable(AT_FDCWD, shell, 0, &target);

	if (ret == 0)
		ov_env_restore();
	return ret;
}

int ov_system(const char *command)
{
	int (*next)(const char *) = (int (*)(const char *))ov_next_lookup(OV_NEXT_system);

	if (!next)
		return (int)ov_ret(-ENOSYS);
	/* As libc says of a shell that does not start; without a command glibc tries one, too. */
	if (before_shell() < 0)
		return command ? 127 << 8 : 0;
	return next(command);
}

void *ov_popen(const char *command, const char *type)
{
	void *(*next)(const char *, const char *) = (void *(*)(const char *, const char *))ov_next_lookup(OV_NEXT_popen);
	long ret = next ? before_shell() : -ENOSYS;

	if (ret < 0) {
		ov_ret(ret);
		return NULL;
	}
	return next(command, type);
}

#define WRDE_NOSPACE_ 1

int ov_wordexp(const char *words, void *result, int flags)
{
	int (*next)(const char *, void *, int) = (int (*)(const char *, void *, int))ov_next_lookup(OV_NEXT_wordexp);

	if (!next || before_shell() < 0)
		return WRDE_NOSPACE_;
	return next(words, result, flags);
}
