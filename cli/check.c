// SPDX-License-Identifier: MIT
/*
 * cli/check.c - gmem check: whether a kernel or a profile is what it claims
 *
 * The cases run in a process of their own (`gmem check --worker`): natively against
 * the kernel, under `gmem run` against a profile.  It says what it saw and what each
 * known generation would have answered; the verdict is made here.
 */
#include "check/check.h"

#include <limits.h>
#include <sys/utsname.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/kernel.h"
#include "cli/words.h"
#include "core/profile.h"

#define WORKER_ARGS 32
#define SHOWN	    12 /* deviations of a case in a report for people */

struct check_options {
	const char *against, *engine, *shape, *vm_types, *module_param, *literal;
	bool json, tap, junit, answers, list, worker;
};

#define FIELD(name) offsetof(struct check_options, name)

static const struct option options[] = {
	{ OPTION_TEXT, "against", FIELD(against), "TARGET", "kernel (the real /dev/kvm, default) or a profile" },
	{ OPTION_TEXT, "engine", FIELD(engine), "NAME", "engine of a profile (gmem doctor); default auto" },
	{ OPTION_TEXT, "shape", FIELD(shape), "SHAPE", "shape of a profile: mainline (default), host, or FIELD=N,..." },
	{ OPTION_TEXT, "vm-types", FIELD(vm_types), "LIST", "further VM types of a profile: sev,sev-es,snp,tdx" },
	{ OPTION_TEXT, "module-param", FIELD(module_param), "NAME=N", "gmem_in_place_conversion=0 or 1" },
	{ OPTION_FLAG, "json", FIELD(json), NULL, "print JSON" },
	{ OPTION_FLAG, "tap", FIELD(tap), NULL, "print TAP, a point for each case" },
	{ OPTION_FLAG, "junit", FIELD(junit), NULL, "print JUnit's XML" },
	{ OPTION_FLAG, "answers", FIELD(answers), NULL, "print the answers themselves, for a comparison" },
	{ OPTION_FLAG, "list", FIELD(list), NULL, "list the cases and the rules that they show" },
	{ OPTION_FLAG, "worker", FIELD(worker), NULL, NULL },
	{ OPTION_TEXT, "literal", FIELD(literal), "NAME", NULL },
	{ .kind = OPTION_END }
};

struct observation {
	char *label;
	long long got, wanted[TRAITS_COUNT];
};

struct outcome {
	bool known; /* the worker came to it */
	bool ran;
	char *trouble; /* it could not go on */
	struct observation *seen;
	unsigned count;
};

struct verdict {
	struct outcome *outcomes; /* one for each of check_cases */
	unsigned deviations[TRAITS_COUNT];
	unsigned observations, known;
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
	s->label = strdup(line);
	s->got = strtoll(field, &field, 10);
	for (unsigned i = 0; i < TRAITS_COUNT; i++)
		s->wanted[i] = strtoll(field, &field, 10);
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
		} else if (now && !now->trouble) {
			now->trouble = strdup(!strncmp(line, "X\t", 2) ? line + 2 : line);
		}
	}
	/* The worker itself died there. */
	if (now && !now->trouble)
		now->trouble = strdup("the suite ended here");
	free(line);
}

/* --- judging ------------------------------------------------------------------------- */

/* How a case disagrees with a generation: observations, or whether it applies at all. */
static unsigned deviations(const struct check_case *c, const struct outcome *o, unsigned column)
{
	bool holds = check_holds(&traits[column], c->needs);
	unsigned count = 0;

	if (!o->known)
		return 0;
	if (o->ran != holds || o->trouble)
		return 1;
	for (unsigned i = 0; i < o->count; i++)
		count += o->seen[i].got != o->seen[i].wanted[column];
	return count;
}

static void judge(struct verdict *v)
{
	for (unsigned i = 0; i < check_case_count; i++) {
		v->observations += v->outcomes[i].count;
		v->known += v->outcomes[i].known;
		for (unsigned column = 0; column < TRAITS_COUNT; column++)
			v->deviations[column] += deviations(&check_cases[i], &v->outcomes[i], column);
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

/* --- printing ------------------------------------------------------------------------ */

static const char *value_text(long long value, char buf[WORDS_MAX])
{
	if (value == WRONG_ADDRESS)
		snprintf(buf, WORDS_MAX, "a signal with another address");
	else if (value < -4096 || value >= 0)
		snprintf(buf, WORDS_MAX, value < 10 && value >= 0 ? "%lld" : "%#llx", value);
	else if (value <= -3000)
		snprintf(buf, WORDS_MAX, "SIGSEGV code %lld", -3000 - value);
	else if (value <= -2000)
		snprintf(buf, WORDS_MAX, "SIGBUS code %lld", -2000 - value);
	else
		return words_errno((int)-value, buf);
	return buf;
}

static void column_name(unsigned column, char buf[WORDS_MAX])
{
	const struct traits *k = &traits[column];

	snprintf(buf, WORDS_MAX, "%s%s%s", k->name, k->setting ? " with " : "", k->setting ? k->setting : "");
}

/* What is wrong about a case that did not run as the generation would have. */
static const char *trouble_of(const struct check_case *c, const struct outcome *o, unsigned column)
{
	if (o->trouble)
		return o->trouble;
	if (o->ran != check_holds(&traits[column], c->needs))
		return o->ran ? "the target has what this generation lacks" : "the target lacks what this generation has";
	return NULL;
}

/* One line for each deviation of a case. */
static void print_deviations(const struct check_case *c, const struct outcome *o, unsigned column, const char *prefix)
{
	const char *trouble = trouble_of(c, o, column);
	char got[WORDS_MAX], wanted[WORDS_MAX];
	unsigned shown = 0;

	if (trouble) {
		printf("%s%s\n", prefix, trouble);
		return;
	}
	for (unsigned i = 0; i < o->count; i++) {
		const struct observation *s = &o->seen[i];

		if (s->got == s->wanted[column])
			continue;
		if (shown++ == SHOWN) {
			printf("%s...\n", prefix);
			return;
		}
		printf("%s%s: %s, expected %s\n", prefix, s->label, value_text(s->got, got), value_text(s->wanted[column], wanted));
	}
}

static void print_matches(const struct verdict *v)
{
	char name[WORDS_MAX];

	for (unsigned column = 0; column < TRAITS_COUNT; column++) {
		column_name(column, name);
		printf("  %-60s %6u deviations\n", name, v->deviations[column]);
	}
}

static void print_text(const struct verdict *v, unsigned column, const char *against)
{
	unsigned ran = 0, skipped = 0;
	char name[WORDS_MAX];

	for (unsigned i = 0; i < check_case_count; i++) {
		const struct outcome *o = &v->outcomes[i];

		ran += o->ran;
		skipped += o->known && !o->ran;
		if (!deviations(&check_cases[i], o, column))
			continue;
		printf("%s: %s\n", check_cases[i].id, check_cases[i].title);
		if (*check_cases[i].rules)
			printf("  rules: %s\n", check_cases[i].rules);
		print_deviations(&check_cases[i], o, column, "  ");
	}
	column_name(column, name);
	if (!strcmp(against, "kernel")) {
		printf("kernel: %s %s", v->deviations[column] ? "resembles most" : "is", name);
		/* A few cases, or a configuration without private memory, may not tell all apart. */
		for (unsigned other = column + 1; other < TRAITS_COUNT; other++) {
			column_name(other, name);
			if (v->deviations[other] == v->deviations[column])
				printf(" or %s", name);
		}
		printf(", by %u observations of %u cases (%u need what it lacks)\n", v->observations, ran, skipped);
		print_matches(v);
	} else {
		printf("%s: %u deviations in %u observations of %u cases (%u need what it lacks)\n", name, v->deviations[column],
		       v->observations, ran, skipped);
	}
}

static void print_tap(const struct verdict *v, unsigned column)
{
	unsigned point = 0;
	char name[WORDS_MAX];

	for (unsigned i = 0; i < check_case_count; i++) {
		const struct outcome *o = &v->outcomes[i];
		unsigned wrong = deviations(&check_cases[i], o, column);

		if (!o->known)
			continue;
		printf("%sok %u - %s: %s%s\n", wrong ? "not " : "", ++point, check_cases[i].id, check_cases[i].title,
		       o->ran || wrong ? "" : " # SKIP not in this generation");
		if (wrong)
			print_deviations(&check_cases[i], o, column, "# ");
	}
	column_name(column, name);
	printf("# compared with %s: %u observations\n1..%u\n", name, v->observations, point);
}

static void print_json(const struct verdict *v, unsigned column, const char *against)
{
	struct json json = { 0 };
	char buf[WORDS_MAX];

	json_open(&json, NULL, '{');
	json_text(&json, "against", against);
	column_name(column, buf);
	json_text(&json, "compared_with", buf);
	json_number(&json, "observations", v->observations);
	json_number(&json, "deviations", v->deviations[column]);
	json_open(&json, "generations", '[');
	for (unsigned k = 0; k < TRAITS_COUNT; k++) {
		json_open(&json, NULL, '{');
		column_name(k, buf);
		json_text(&json, "name", buf);
		json_number(&json, "deviations", v->deviations[k]);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_open(&json, "cases", '[');
	for (unsigned i = 0; i < check_case_count; i++) {
		const struct outcome *o = &v->outcomes[i];
		unsigned wrong = deviations(&check_cases[i], o, column);

		if (!o->known)
			continue;
		json_open(&json, NULL, '{');
		json_text(&json, "id", check_cases[i].id);
		json_text(&json, "title", check_cases[i].title);
		json_text(&json, "rules", check_cases[i].rules);
		json_text(&json, "result", wrong ? "failed" : o->ran ? "passed" : "skipped");
		json_number(&json, "observations", o->count);
		json_open(&json, "deviations", '[');
		if (trouble_of(&check_cases[i], o, column))
			json_text(&json, NULL, trouble_of(&check_cases[i], o, column));
		for (unsigned s = 0; !trouble_of(&check_cases[i], o, column) && s < o->count; s++) {
			if (o->seen[s].got == o->seen[s].wanted[column])
				continue;
			json_open(&json, NULL, '{');
			json_text(&json, "what", o->seen[s].label);
			json_text(&json, "got", value_text(o->seen[s].got, buf));
			json_text(&json, "expected", value_text(o->seen[s].wanted[column], buf));
			json_close(&json, '}');
		}
		json_close(&json, ']');
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
}

/* Labels and titles have no '&', '<' or '"' but in what a program may have printed. */
static void print_xml(const char *text)
{
	for (; *text; text++) {
		if (*text == '&' || *text == '<' || *text == '>' || *text == '"')
			printf("&#%d;", *text);
		else
			putchar(*text);
	}
}

static void print_junit(const struct verdict *v, unsigned column)
{
	unsigned failed = 0, known = 0, skipped = 0;
	char name[WORDS_MAX], got[WORDS_MAX], wanted[WORDS_MAX];

	for (unsigned i = 0; i < check_case_count; i++) {
		bool wrong = deviations(&check_cases[i], &v->outcomes[i], column) > 0;

		known += v->outcomes[i].known;
		failed += wrong;
		skipped += v->outcomes[i].known && !v->outcomes[i].ran && !wrong;
	}
	column_name(column, name);
	printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"gmem check: %s\" tests=\"%u\" failures=\"%u\" "
	       "skipped=\"%u\">\n", name, known, failed, skipped);
	for (unsigned i = 0; i < check_case_count; i++) {
		const struct outcome *o = &v->outcomes[i];
		const char *trouble = trouble_of(&check_cases[i], o, column);
		unsigned wrong = deviations(&check_cases[i], o, column);

		if (!o->known)
			continue;
		printf("  <testcase classname=\"%.*s\" name=\"", (int)strcspn(check_cases[i].id, "."), check_cases[i].id);
		print_xml(check_cases[i].id);
		printf("\">");
		if (wrong) {
			printf("<failure message=\"%u deviations\">", wrong);
			if (trouble)
				print_xml(trouble);
			for (unsigned s = 0; !trouble && s < o->count; s++) {
				if (o->seen[s].got == o->seen[s].wanted[column])
					continue;
				print_xml(o->seen[s].label);
				printf(": %s, expected %s\n", value_text(o->seen[s].got, got),
				       value_text(o->seen[s].wanted[column], wanted));
			}
			printf("</failure>");
		} else if (!o->ran) {
			printf("<skipped/>");
		}
		printf("</testcase>\n");
	}
	printf("</testsuite>\n");
}

/* What tests/golden keeps: no verdict, only what was answered, and what configuration was asked. */
static void print_answers(const struct verdict *v, const char *against)
{
	char text[WORDS_MAX], shape_text[256];
	struct core_shape shape;
	struct utsname name;

	if (!strcmp(against, "kernel") && !uname(&name) && !kernel_host_shape(&shape)) {
		kernel_shape_text(&shape, shape_text, sizeof(shape_text));
		printf("# kernel: %s, %s\n# shape: %s\n", name.release, name.version, shape_text);
	}
	for (unsigned i = 0; i < check_case_count; i++) {
		const struct outcome *o = &v->outcomes[i];

		if (!o->known)
			continue;
		printf("[%s]%s\n", check_cases[i].id, o->ran ? "" : " lacks what it needs");
		for (unsigned s = 0; s < o->count; s++)
			printf("%s\t%s\n", o->seen[s].label, value_text(o->seen[s].got, text));
		if (o->trouble)
			printf("%s\n", o->trouble);
	}
}

static void print_list(char **cases)
{
	for (unsigned i = 0; i < check_case_count; i++) {
		bool listed = !*cases;

		for (char **c = cases; *c; c++)
			listed = listed || !strncmp(check_cases[i].id, *c, strlen(*c));
		if (!listed)
			continue;
		printf("%-28s %s\n", check_cases[i].id, check_cases[i].title);
		if (*check_cases[i].rules)
			printf("%-28s rules: %s\n", "", check_cases[i].rules);
	}
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
		print_answers(&v, o->against);
		return finish_output(0);
	}
	if (o->json)
		print_json(&v, column, o->against);
	else if (o->tap)
		print_tap(&v, column);
	else if (o->junit)
		print_junit(&v, column);
	else
		print_text(&v, column, o->against);
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
		return check_worker(cases, (unsigned)(argc - first), STDOUT_FILENO, o.literal, further_types(&o));
	status = unknown_case(verb, cases);
	if (status)
		return status;
	if (o.list) {
		print_list(cases);
		return finish_output(0);
	}
	kernel = !strcmp(o.against, "kernel");
	if (!kernel && !core_profile_find(o.against))
		return options_error(&verb->usage, "--against %s: neither kernel nor a profile (gmem profiles)", o.against);
	if (kernel && (o.engine || o.shape || o.vm_types || o.module_param))
		return options_error(&verb->usage, "the kernel is as it is: --engine, --shape, --vm-types and --module-param are for profiles");
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
