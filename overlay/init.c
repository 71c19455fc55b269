// SPDX-License-Identifier: MIT
/*
 * overlay/init.c - the preload object's start, and the guard around its work
 *
 * Configuration comes from the environment as it was at exec: glibc shows it to the constructor, musl has set `environ` by
 * then.  getenv() belongs to the program.  Where neither is to be had it is read from /proc.
 */
#include <asm/signal.h>
#include <linux/fcntl.h>

#include "host/fd.h"
#include "host/peer.h"
#include "overlay/environ.h"
#include "overlay/overlay.h"
#include "rt/alloc.h"
#include "rt/format.h"
#include "rt/lock.h"
#include "rt/string.h"

struct ov_config ov_config;

_Static_assert(OV_GUARD_MASK == ~(1ULL << (SIGBUS - 1) | 1ULL << (SIGSEGV - 1)), "the two signals");

void ov_enter(struct ov_guard *guard)
{
	u64 mask = OV_GUARD_MASK;

	guard->slot = OV_CRITICAL_NO;
	rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, (long)&guard->mask, sizeof(mask), 0, 0);
	if (dev_fork_pending()) {
		host_process_unknown();
		ov_forked();
	}
}

void ov_enter_hot(struct ov_guard *guard)
{
	/* A child is set up with signals blocked. */
	guard->slot = dev_fork_pending() ? OV_CRITICAL_NO : ov_critical_enter();
	if (guard->slot == OV_CRITICAL_NO)
		ov_enter(guard);
}

void ov_leave(const struct ov_guard *guard)
{
	if (guard->slot == OV_CRITICAL_NESTED)
		return;
	if (guard->slot >= 0)
		ov_critical_leave(guard->slot);
	else
		rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)&guard->mask, 0, sizeof(guard->mask), 0, 0);
	ov_signal_guard_left();
}

/* What the environment says about the emulation, before names are resolved. */
struct settings {
	const char *profile, *shape, *host_shape, *engine;
	u64 vm_types;
	int in_place;
	bool real_cpu;
	bool filtered;
};

static void copy_text(char *dst, size_t size, const char *src)
{
	size_t n = rt_strlen(src);

	if (n < size)
		memcpy(dst, src, n + 1);
}

static void take_variable(struct settings *s, const char *var)
{
	const char *value;
	u64 number;

	if ((value = rt_after_prefix(var, "LD_PRELOAD=")))
		ov_env_take_preload(value);
	if (!rt_after_prefix(var, WIRE_ENV_PREFIX))
		return;
	rt_fault_configure(var);
	ov_env_keep(var);
	if ((value = rt_after_prefix(var, "GMEM_PROFILE=")))
		s->profile = value;
	else if ((value = rt_after_prefix(var, "GMEM_SHAPE=")))
		s->shape = value;
	else if ((value = rt_after_prefix(var, "GMEM_SHAPE_HOST=")))
		s->host_shape = value;
	else if ((value = rt_after_prefix(var, "GMEM_ENGINE=")))
		s->engine = value;
	else if ((value = rt_after_prefix(var, "GMEM_BROKER=")))
		copy_text(ov_config.broker, sizeof(ov_config.broker), value);
	else if ((value = rt_after_prefix(var, "GMEM_VM_TYPES=")) && rt_parse_u64(value, &number))
		s->vm_types = number;
	else if ((value = rt_after_prefix(var, "GMEM_IN_PLACE=")) && rt_parse_u64(value, &number))
		s->in_place = number != 0;
	else if ((value = rt_after_prefix(var, "GMEM_CPU=")))
		s->real_cpu = rt_streq(value, "kvm");
	else if ((value = rt_after_prefix(var, "GMEM_EXPLAIN=")))
		ov_config.explain = *value == '1';
	else if (rt_after_prefix(var, WIRE_ENV_FILTERED))
		s->filtered = true;
	else if ((value = rt_after_prefix(var, "GMEM_ALLOW_UNSERVED=")))
		ov_config.allow_unserved = *value == '1';
}

/* The whole environment as it was at exec; NULL when it cannot be read, all of it. */
static char *read_environment(size_t *ret_size)
{
	long fd = rt_syscall(__NR_openat, AT_FDCWD, "/proc/self/environ", O_RDONLY | O_CLOEXEC);
	size_t size = 2UL << 20, have = 0;
	char *buf = rt_is_err(fd) ? NULL : rt_alloc(size);
	long n = 1;

	while (buf && n > 0 && have < size - 1) {
		n = rt_syscall(__NR_read, fd, buf + have, size - 1 - have);
		if (n > 0)
			have += (size_t)n;
	}
	if (!rt_is_err(fd))
		rt_close((int)fd);
	*ret_size = size;
	if (n >= 0)
		return buf;
	rt_free(buf, size);
	return NULL;
}

static void tell(const char *text)
{
	ov_report_notice(text);
}

static int start(const struct settings *s)
{
	struct core_shape shape = core_shape_mainline;
	struct dev_config config = { .file_created = ov_report_file,
				     .file_gone = ov_report_file_gone,
				     .take_signals = ov_signal_take,
				     .memory_error = ov_signal_memory_error,
				     .notice = tell };
	const struct core_profile *profile = core_profile_find(s->profile);
	int ret;

	config.real_cpu = s->real_cpu;
	config.keep_history = ov_config.explain;
	if (!profile)
		return -EINVAL;
	if (s->host_shape && !core_shape_parse(&shape, s->host_shape))
		return -EINVAL;
	if (core_sys_init(&config.sys, profile, &shape, s->vm_types, s->in_place) < 0)
		return -EINVAL;
	host_fd_init();
	ret = dev_init(&config);
	return ret ? ret : host_init(s->engine);
}

/* The environment without a system call, since a seccomp filter may be in force; NULL when it cannot be found. */
static char **find_environment(int argc, char **argv, char **envp)
{
	/* A C library that passes nothing leaves anything here, but hardly this. */
	if (argc > 0 && argv && envp == argv + argc + 1)
		return envp;
	return ov_environ();
}

static void write_error(const char *text)
{
	char line[WIRE_TEXT + 16];
	size_t n = rt_format(line, sizeof(line), "gmem: %s\n", text);

	ov_raw(__NR_write, 2, line, rt_min(n, sizeof(line) - 1));
}

/* Nothing of gmem's works, and the program must not run without: it would find the real /dev/kvm. */
static __attribute__((noreturn)) void give_up(const char *what, int error)
{
	char text[WIRE_TEXT];

	rt_format(text, sizeof(text), "%s (errno %d): not started", what, -error);
	ov_report_init();
	/* There is no program yet whose output it would disturb: the dynamic loader complains there, too. */
	if (!ov_report_notice(text))
		write_error(text);
	for (;;)
		ov_raw(__NR_exit_group, 126);
}

static void serve(const struct settings *s)
{
	/* SEC-2 */
	int error = s->filtered ? ov_seccomp_inherited() : 0;

	if (error)
		give_up("a program that inherited a seccomp filter cannot be served", error);
	for (unsigned id = 0; id < OV_NEXT_COUNT; id++)
		ov_next_lookup(id);
	error = start(s);
	if (error)
		give_up("gmem cannot be set up in this program", error);
	ov_config.active = true;
	ov_fd_init();
	ov_critical_init();
	ov_signal_init();
	ov_process_init();
	ov_report_init();
	ov_fd_scan();
}

static void take_environment(struct settings *s, char **vars)
{
	for (; *vars; vars++)
		take_variable(s, *vars);
}

static __attribute__((constructor)) void init(int argc, char **argv, char **envp)
{
	struct settings s = { .in_place = -1 };
	char **vars = find_environment(argc, argv, envp), *env = NULL;
	size_t size = 0;

	if (vars)
		take_environment(&s, vars);
	else
		env = read_environment(&size);
	for (const char *var = env; var && *var; var += rt_strlen(var) + 1)
		take_variable(&s, var);
	if (!vars && !env)
		give_up("the environment cannot be read", -ENOMEM);
	if (s.profile)
		serve(&s);
	if (env)
		rt_free(env, size);
}
