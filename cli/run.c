// SPDX-License-Identifier: MIT
/*
 * cli/run.c - gmem run: a program on an emulated /dev/kvm
 *
 * The program runs in a child; this process is its broker and ends as it does:
 * with its exit status, or by the signal that killed it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/broker.h"
#include "cli/cli.h"
#include "cli/filtered.h"
#include "cli/kernel.h"
#include "cli/program.h"
#include "cli/real_cpu.h"
#include "host/host.h"

#define ENTRIES_MAX 16

struct run_options {
	struct kernel_request kernel;
	const char *engine, *report_file, *cpu, *preload;
	bool explain, summary, allow_unserved;
};

#define FIELD(name) offsetof(struct run_options, name)

static const struct option options[] = {
	{ OPTION_TEXT, "profile", FIELD(kernel.profile), "NAME", "kernel generation (gmem profiles); host: the real one" },
	KERNEL_OPTIONS(kernel),
	{ OPTION_TEXT, "engine", FIELD(engine), "NAME", "how private pages are enforced (gmem doctor); default auto" },
	{ OPTION_TEXT, "cpu", FIELD(cpu), "CPU", "what runs guest code: soft, the software vCPU (auto, the same), or kvm, the real one" },
	{ OPTION_FLAG, "explain", FIELD(explain), NULL, "tell about every refused call and private touch" },
	{ OPTION_TEXT, "report-file", FIELD(report_file), "FILE", "explain into FILE instead of standard error" },
	{ OPTION_FLAG, "summary", FIELD(summary), NULL, "tell at the end what was served and refused" },
	{ OPTION_FLAG, "allow-unserved", FIELD(allow_unserved), NULL, "start programs that cannot be served, too" },
	{ OPTION_TEXT, "preload", FIELD(preload), "FILE", NULL },
	{ .kind = OPTION_END }
};

/* The GMEM_* variables of overlay/wire.h, collected before the fork. */
struct environment {
	const char *name[ENTRIES_MAX];
	const char *value[ENTRIES_MAX];
	unsigned count;
	char types[32], shape[256];
	char preload[2 * PATH_MAX];
};

static void set(struct environment *env, const char *name, const char *value)
{
	env->name[env->count] = name;
	env->value[env->count++] = value;
}

static void describe_kernel(struct environment *env, const struct kernel *kernel)
{
	const struct core_sys *sys = &kernel->sys;

	set(env, "GMEM_PROFILE", sys->profile->name);
	set(env, "GMEM_SHAPE", sys->shape.name);
	if (!strcmp(sys->shape.name, "host")) {
		kernel_shape_text(&sys->shape, env->shape, sizeof(env->shape));
		set(env, "GMEM_SHAPE_HOST", env->shape);
	}
	if (kernel->extra_types) {
		snprintf(env->types, sizeof(env->types), "%#" PRIx64, kernel->extra_types);
		set(env, "GMEM_VM_TYPES", env->types);
	}
	if (kernel->in_place >= 0)
		set(env, "GMEM_IN_PLACE", kernel->in_place ? "1" : "0");
}

/* What an outer `gmem run` has set must not reach the program. */
static void forget_outer_run(void)
{
	static const char *const names[] = { "GMEM_PROFILE", "GMEM_SHAPE",   "GMEM_VM_TYPES",	    "GMEM_IN_PLACE",  "GMEM_ENGINE",
					     "GMEM_BROKER",  "GMEM_EXPLAIN", "GMEM_ALLOW_UNSERVED", "GMEM_SHAPE_HOST",
					     "GMEM_CPU" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

static int apply(const struct environment *env)
{
	forget_outer_run();
	for (unsigned i = 0; i < env->count; i++) {
		if (setenv(env->name[i], env->value[i], 1) != 0)
			return -errno;
	}
	return 0;
}

/* Complain that the program cannot be started; the exit status. */
static int not_started(const char *name, int error, const char *reason)
{
	if (reason)
		complain("%s: gmem cannot serve it: %s", name, reason);
	else
		complain("%s: %s", name, strerror(error));
	return error == ENOENT && !reason ? EXIT_NOT_FOUND : EXIT_UNSERVED;
}

/* --profile host: nothing of ours stays. */
static int pass_through(const struct verb *verb, const struct run_options *o, char **argv)
{
	if (o->kernel.shape || o->kernel.vm_types || o->kernel.module_param || o->engine)
		return options_error(&verb->usage, "--profile host passes the real kernel through: nothing can be set");
	if (o->explain || o->report_file || o->summary)
		return options_error(&verb->usage, "--profile host passes the real kernel through: nothing is reported");
	execvp(argv[0], argv);
	return not_started(argv[0], errno, NULL);
}

static int check_engine(const struct verb *verb, const char *engine)
{
	if (!engine || !strcmp(engine, "auto"))
		return 0;
	for (const char *const *name = host_engine_names(); *name; name++) {
		if (strcmp(*name, engine) != 0)
			continue;
		if (host_engine_runs(engine))
			return 0;
		if (host_probe_error())
			complain("cannot find out whether engine %s runs here: %s", engine, strerror(-host_probe_error()));
		else
			complain("engine %s cannot run here; gmem doctor tells why", engine);
		return EXIT_GMEM;
	}
	return options_error(&verb->usage, "there is no engine %s", engine);
}

/* The real KVM is taken when it is asked for: what it does differently is the user's to know (gmem doctor). */
static int choose_cpu(const struct verb *verb, const char *cpu, bool *real)
{
	char why[REAL_CPU_WHY];

	*real = cpu && !strcmp(cpu, "kvm");
	if (!*real)
		return !cpu || !strcmp(cpu, "auto") || !strcmp(cpu, "soft") ?
			       0 :
			       options_error(&verb->usage, "--cpu is auto, soft or kvm, not %s", cpu);
	if (real_cpu_fit(why))
		return 0;
	complain("--cpu kvm: %s", why);
	return EXIT_GMEM;
}

static int open_report(const struct run_options *o, struct report *report)
{
	*report = (struct report){ .fd = STDERR_FILENO, .explain = o->explain || o->report_file };
	if (!o->report_file)
		return 0;
	report->fd = open(o->report_file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	if (report->fd >= 0)
		return 0;
	complain("%s: %m", o->report_file);
	return EXIT_GMEM;
}

/* Descriptors of ours must not take the numbers of standard ones that the user closed: they are close-on-exec. */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* In the child; returns only if the program could not be started. */
static int become(const struct program *program, char **argv, const struct environment *env, const sigset_t *mask,
		  const struct sigaction *old_chld)
{
	int ret = apply(env);

	sigaction(SIGCHLD, old_chld, NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	return ret < 0 ? ret : program_exec(program, argv, environ);
}

/* End as the child did: by its signal, without a second core file, or with its status. */
static int end_like(int status)
{
	static const struct rlimit no_core;
	sigset_t set;
	int sig;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	sig = WTERMSIG(status);
	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	kill(getpid(), sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* Not reached by any signal that can kill. */
	return 128 + sig;
}

/* Fork the program and be its broker; the exit status. */
static int serve(struct broker *broker, const struct program *program, char **argv, const struct environment *env,
		 bool summary)
{
	struct sigaction default_action = { .sa_handler = SIG_DFL }, old_chld;
	sigset_t signals, mask;
	int pipes[2], error = 0, status;
	pid_t child;

	if (pipe2(pipes, O_CLOEXEC) != 0) {
		complain("pipe: %m");
		return EXIT_GMEM;
	}
	/* Ignored, SIGCHLD would have the kernel reap the child unseen. */
	sigaction(SIGCHLD, &default_action, &old_chld);
	broker_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, &mask);
	child = fork();
	if (child < 0) {
		complain("fork: %m");
		return EXIT_GMEM;
	}
	if (child == 0) {
		error = -become(program, argv, env, &mask, &old_chld);
		_exit(write(pipes[1], &error, sizeof(error)) == sizeof(error) ? EXIT_UNSERVED : EXIT_GMEM);
	}
	close(pipes[1]);
	/* Ends with the program's start: the pipe is close-on-exec. */
	if (read(pipes[0], &error, sizeof(error)) == sizeof(error)) {
		waitpid(child, NULL, 0);
		return not_started(argv[0], error, NULL);
	}
	error = -broker_settle(broker, child);
	if (error) {
		complain("cannot serve %s: %s", argv[0], strerror(error));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		return EXIT_GMEM;
	}
	status = broker_run(broker);
	if (summary)
		report_summary(broker->report);
	return end_like(status);
}

/* Everything that can go wrong before the program starts; 0 or the exit status. */
static int prepare(const struct verb *verb, const struct run_options *o, const char *name, struct program *program,
		   struct environment *env, struct broker *broker, struct report *report)
{
	static struct kernel kernel;
	static char object[PATH_MAX];
	char why[KERNEL_WHY];
	bool real_cpu;
	int ret;

	ret = choose_cpu(verb, o->cpu, &real_cpu);
	if (ret)
		return ret;
	if (kernel_init(&kernel, &o->kernel, why) < 0)
		return options_error(&verb->usage, "%s", why);
	ret = check_engine(verb, o->engine);
	if (ret)
		return ret;
	ret = program_find(program, name);
	if (ret < 0 && !(program->verdict.reason && o->allow_unserved))
		return not_started(name, -ret, program->verdict.reason);
	if (program_preload_object(o->preload, object) < 0)
		return EXIT_GMEM;
	if (strpbrk(object, ": \t\n")) {
		complain("%s: LD_PRELOAD cannot hold a path with blanks or colons", object);
		return EXIT_GMEM;
	}
	if (program_preload_list(program, object, getenv("LD_PRELOAD"), env->preload, sizeof(env->preload)) < 0) {
		complain("LD_PRELOAD is too long");
		return EXIT_GMEM;
	}
	ret = open_report(o, report);
	if (ret)
		return ret;
	if (program->verdict.reason)
		report_line(report, "%s: started without gmem: %s", name, program->verdict.reason);
	ret = broker_open(broker, report);
	if (ret < 0) {
		complain("cannot make the socket of the broker: %s", strerror(-ret));
		return EXIT_GMEM;
	}

	describe_kernel(env, &kernel);
	if (real_cpu)
		set(env, "GMEM_CPU", "kvm");
	set(env, "GMEM_ENGINE", o->engine ? o->engine : "auto");
	set(env, "GMEM_BROKER", broker->name);
	if (report->explain || o->summary)
		set(env, "GMEM_EXPLAIN", "1");
	if (o->allow_unserved)
		set(env, "GMEM_ALLOW_UNSERVED", "1");
	set(env, "LD_PRELOAD", env->preload);
	return 0;
}

static int run(const struct verb *verb, int argc, char **argv)
{
	static struct program program;
	static struct environment env;
	struct run_options o = { 0 };
	struct broker broker;
	struct report report;
	int status, first = options_parse(&verb->usage, argc, argv, &o, &status);

	if (first < 0)
		return status;
	if (first == argc)
		return options_error(&verb->usage, "which program?");
	filtered_warn();
	if (o.kernel.profile && !strcmp(o.kernel.profile, "host"))
		return pass_through(verb, &o, argv + first);
	fill_standard_fds();
	status = prepare(verb, &o, argv[first], &program, &env, &broker, &report);
	if (status)
		return status;
	return serve(&broker, &program, argv + first, &env, o.summary);
}

const struct verb verb_run = {
	.usage = { .name = "run",
		   .summary = "Run a program on an emulated /dev/kvm",
		   .synopsis = "[OPTIONS] [--] PROGRAM [ARGUMENTS]",
		   .options = options,
		   .error = EXIT_GMEM },
	.main = run,
};
