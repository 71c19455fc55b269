// SPDX-License-Identifier: MIT
/*
 * cli/check.c - gmem check: whether a kernel or a profile is what it claims
 *
 * The cases run in a process of their own (`gmem check --worker`): natively against
 * the kernel, under `gmem run` against a profile.  It says what it saw and what each
 * known generation would have answered; the verdict is made here.
 */
#include "cli/check_result.h"

#include <limits.h>

#include "cli/cli.h"
#include "cli/kernel.h"
#include "cli/words.h"
#include "core/profile.h"

#define WORKER_ARGS 32

struct check_options {
	const char *against, *engine, *shape, *vm_types, *module_param, *literal;
	bool json, tap, junit, answers, list, worker, poison;
};

#define FIELD(name) offsetof(struct check_options, name)

static const struct option options[] = {
	{ OPTION_TEXT, "against", FIELD(against), "TARGET", "kernel (default: the real /dev/kvm, whatever it is) or a profile" },
	{ OPTION_TEXT, "engine", FIELD(engine), "NAME", "engine of a profile (gmem doctor); default auto" },
	{ OPTION_TEXT, "shape", FIELD(shape), "SHAPE", "shape of a profile: mainline (default), host, or FIELD=N,..." },
	{ OPTION_TEXT, "vm-types", FIELD(vm_types), "LIST", "further VM types of a profile: sev,sev-es,snp,tdx" },
	{ OPTION_TEXT, "module-param", FIELD(module_param), "NAME=N", "gmem_in_place_conversion=0 or 1" },
	{ OPTION_FLAG, "poison", FIELD(poison), NULL, "also break pages of the machine's memory for good: nothing for a host in use" },
	{ OPTION_FLAG, "json", FIELD(json), NULL, "print JSON, with every deviation" },
	{ OPTION_FLAG, "tap", FIELD(tap), NULL, "print TAP, a point for each case" },
	{ OPTION_FLAG, "junit", FIELD(junit), NULL, "print JUnit's XML" },
	{ OPTION_FLAG, "answers", FIELD(answers), NULL, "print no verdict but the answers, for a comparison (tests/golden)" },
	{ OPTION_FLAG, "list", FIELD(list), NULL, "list the cases, what they need of a kernel, and the rules that they show" },
	{ OPTION_FLAG, "worker", FIELD(worker), NULL, NULL },
	{ OPTION_TEXT, "literal", FIELD(literal), "NAME", NULL },
	{ .kind = OPTION_END }
};

/* --- running the worker ------------------------------------------------------------ */

/* The worker's command line; argv has room for WORKER_ARGS and the cases. */
static void command_line(const struct check_options *o, char *self, bool kernel, char **cases, char *literal, size_t size,
			 const char **argv)
{
	unsigned n = 0;

	argv[n++] = self;
	if (!kernel) {
		const char *const run[] = { "run", "--profile", o->against, "--engine", o->engine ? o->engine : "auto", "--shape",
					    o->shape ? o->shape : "mainline" };

		for (size_t i = 0; i < sizeof(run) / sizeof(*run); i++)
			argv[n++] = run[i];
		if (o->vm_types) {
			argv[n++] = "--vm-types";
			argv[n++] = o->vm_types;
		}
		if (o->module_param) {
			argv[n++] = "--module-param";
			argv[n++] = o->module_param;
		}
		argv[n++] = "--";
		argv[n++] = self;
	}
	argv[n++] = "check";
	argv[n++] = "--worker";
	if (o->poison)
		argv[n++] = "--poison";
	if (!kernel && (!o->shape || !strcmp(o->shape, "mainline"))) {
		snprintf(literal, size, "%s%s", o->against, o->module_param && strstr(o->module_param, "=1") ? "+" : "");
		argv[n++] = "--literal";
		argv[n++] = literal;
		if (o->vm_types) {
			argv[n++] = "--against";
			argv[n++] = o->against;
			argv[n++] = "--vm-types";
			argv[n++] = o->vm_types;
		}
	}
	while (*cases)
		argv[n++] = *cases++;
	argv[n] = NULL;
}

/* VM types of the profile besides its shape's; the worker starts under `gmem run`, which refuses others. */
static uint32_t further_types(const struct check_options *o)
{
	const struct kernel_request request = { .profile = o->against, .vm_types = o->vm_types };
	struct kernel kernel;
	char why[KERNEL_WHY];

	return o->vm_types && !kernel_init(&kernel, &request, why) ? (uint32_t)kernel.extra_types : 0;
}

static FILE *start(const char **argv, pid_t *pid)
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC))
		return NULL;
	fflush(stdout);
	*pid = fork();
	if (*pid == 0) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(pipe_fds[1]);
	if (*pid < 0) {
		close(pipe_fds[0]);
		return NULL;
	}
	return fdopen(pipe_fds[0], "r");
}

static void add(struct outcome *c, char *line)
{
	struct observation *s;
	char *field = strchr(line, '\t');

	if (!field)
		return;
	*field++ = '\0';
	if (c->count % 64 == 0)
		c->seen = realloc(c->seen, (c->count + 64) * sizeof(*c->seen));
	if (!c->seen)
		abort();
	s = &c->seen[c->count++];
	*s = (struct observation){ .label = strdup(line) };
	s->got = strtoll(field, &field, 10);
	for (unsigned i = 0; i < TRAITS_COUNT; i++)
		s->wanted[i] = strtoll(field, &field, 10);
}

/* A call that led to the last observation: "ret text". */
static void add_call(struct outcome *c, char *line)
{
	struct observation *s = c->count ? &c->seen[c->count - 1] : NULL;
	char *text, value[WORDS_MAX];
	long long ret = strtoll(line, &text, 10);

	if (!s || *text++ != '\t')
		return;
	s->calls = realloc(s->calls, (s->call_count + 1) * sizeof(*s->calls));
	if (!s->calls || asprintf(&s->calls[s->call_count++], "%s = %s", text, verdict_value(ret, value, sizeof(value))) < 0)
		abort();
}

/* Why a case could not go on, and how far it had come. */
static void add_trouble(struct outcome *c, const char *text)
{
	int len;

	if (c->trouble)
		return;
	if (c->count)
		len = asprintf(&c->trouble, "%s (after \"%s\")", text, c->seen[c->count - 1].label);
	else
		len = asprintf(&c->trouble, "%s (at its beginning)", text);
	if (len < 0)
		abort();
}

static struct outcome *outcome_of(struct verdict *v, const char *id)
{
	for (unsigned i = 0; i < check_case_count; i++)
		if (!strcmp(check_cases[i].id, id))
			return &v->outcomes[i];
	return NULL;
}

static void read_lines(FILE *in, struct verdict *v)
{
	struct outcome *now = NULL;
	char *line = NULL;
	size_t size = 0;
	unsigned types, private_mem, pre_fault;

	while (getline(&line, &size, in) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "T\t", 2)) {
			/* The same configuration decides here what a generation has. */
			if (sscanf(line, "T\t%u\t%u\t%u\t%u\t%u", &types, &target.spaces, &private_mem, &pre_fault, &target.has) == 5) {
				target.types = types;
				target.private_mem = private_mem;
				target.pre_fault = pre_fault;
			}
		} else if (!strncmp(line, "C\t", 2)) {
			now = outcome_of(v, line + 2);
			if (now)
				now->known = now->ran = true;
		} else if (!strncmp(line, "N\t", 2)) {
			now = outcome_of(v, line + 2);
			if (now)
				now->known = true;
			now = NULL;
		} else if (!strcmp(line, "E")) {
			now = NULL;
		} else if (!strncmp(line, "S\t", 2)) {
			if (now)
				add(now, line + 2);
		} else if (!strncmp(line, "L\t", 2)) {
			if (now && now->count && !now->seen[now->count - 1].where)
				now->seen[now->count - 1].where = strdup(line + 2);
		} else if (!strncmp(line, "K\t", 2)) {
			if (now)
				add_call(now, line + 2);
		} else if (now) {
			add_trouble(now, !strncmp(line, "X\t", 2) ? line + 2 : line);
		}
	}
	/* The worker itself died there. */
	if (now)
		add_trouble(now, "the suite ended here");
	free(line);
}

/* --- judging ------------------------------------------------------------------------- */

static void judge(struct verdict *v)
{
	for (unsigned i = 0; i < check_case_count; i++) {
		v->observations += v->outcomes[i].count;
		v->known += v->outcomes[i].known;
		for (unsigned column = 0; column < TRAITS_COUNT; column++)
			v->deviations[column] += verdict_deviations(&check_cases[i], &v->outcomes[i], column);
	}
}

static unsigned best_match(const struct verdict *v)
{
	unsigned best = 0;

	for (unsigned column = 1; column < TRAITS_COUNT; column++)
		if (v->deviations[column] < v->deviations[best])
			best = column;
	return best;
}

static unsigned column_of(const struct check_options *o)
{
	bool set = o->module_param && strstr(o->module_param, "=1");

	for (unsigned column = 0; column < TRAITS_COUNT; column++)
		if (!strcmp(traits[column].name, o->against) && set == (traits[column].setting != NULL))
			return column;
	return 0;
}

/* --- the verb ------------------------------------------------------------------------ */

/* Cases that are none; their number. */
static int unknown_case(const struct verb *verb, char **cases)
{
	for (; *cases; cases++) {
		size_t len = strlen(*cases);
		bool known = false;

		for (unsigned i = 0; i < check_case_count; i++)
			known = known || !strcmp(check_cases[i].id, *cases) ||
				(!strncmp(check_cases[i].id, *cases, len) && check_cases[i].id[len] == '.');
		if (!known)
			return options_error(&verb->usage, "there is no case or section %s (--list)", *cases);
	}
	return 0;
}

static int no_target(const struct check_options *o, const char *reason)
{
	if (o->tap) {
		printf("1..0 # SKIP %s\n", reason);
		return finish_output(0);
	}
	complain("%s", reason);
	return EXIT_ANSWER_NO;
}

static int check_target(const struct check_options *o, char **cases, unsigned count)
{
	bool kernel = !strcmp(o->against, "kernel");
	struct verdict v = { .outcomes = calloc(check_case_count, sizeof(*v.outcomes)) };
	const char **argv = calloc(WORKER_ARGS + count + 1, sizeof(*argv));
	char self[PATH_MAX] = "", literal[WORDS_MAX];
	unsigned column;
	int status;
	pid_t pid;
	FILE *in;

	if (!v.outcomes || !argv || readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) {
		complain("%s", strerror(errno));
		return EXIT_ANSWER_NO;
	}
	command_line(o, self, kernel, cases, literal, sizeof(literal), argv);
	in = start(argv, &pid);
	if (!in) {
		complain("the suite cannot be started: %s", strerror(errno));
		return EXIT_ANSWER_NO;
	}
	read_lines(in, &v);
	fclose(in);
	waitpid(pid, &status, 0);
	judge(&v);
	if (!v.known || status) {
		complain("the suite ended with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		return EXIT_ANSWER_NO;
	}
	column = kernel ? best_match(&v) : column_of(o);
	if (o->answers) {
		verdict_print_answers(&v, o->against);
		return finish_output(0);
	}
	if (o->json)
		verdict_print_json(&v, column, o->against);
	else if (o->tap)
		verdict_print_tap(&v, column);
	else if (o->junit)
		verdict_print_junit(&v, column);
	else
		verdict_print_text(&v, column, o->against);
	return finish_output(v.deviations[column] ? EXIT_ANSWER_NO : 0);
}

static int check(const struct verb *verb, int argc, char **argv)
{
	struct check_options o = { .against = "kernel" };
	int status, first = options_parse(&verb->usage, argc, argv, &o, &status);
	char **cases = argv + first;
	bool kernel;

	if (first < 0)
		return status;
	if (o.worker)
		return check_worker(&(const struct check_request){ .ids = cases,
								   .count = (unsigned)(argc - first),
								   .literal = o.literal,
								   .more = further_types(&o),
								   .poison = o.poison },
				    STDOUT_FILENO);
	status = unknown_case(verb, cases);
	if (status)
		return status;
	if (o.list) {
		verdict_print_list(cases);
		return finish_output(0);
	}
	kernel = !strcmp(o.against, "kernel");
	if (!kernel && !core_profile_find(o.against))
		return options_error(&verb->usage, "--against %s: neither kernel nor a profile (gmem profiles)", o.against);
	if (kernel && (o.engine || o.shape || o.vm_types || o.module_param))
		return options_error(&verb->usage, "the kernel is as it is: --engine, --shape, --vm-types and --module-param are for profiles");
	if (!kernel && o.poison)
		return options_error(&verb->usage, "--poison is for a real kernel: a profile's pages are broken without it");
	if (kernel && access("/dev/kvm", R_OK | W_OK))
		return no_target(&o, "/dev/kvm cannot be opened: no kernel to check");
	return check_target(&o, cases, (unsigned)(argc - first));
}

const struct verb verb_check = {
	.usage = { .name = "check",
		   .summary = "Check a kernel or a profile for conformance",
		   .synopsis = "[OPTIONS] [CASE ...]",
		   .options = options,
		   .error = EXIT_USAGE },
	.main = check,
};
