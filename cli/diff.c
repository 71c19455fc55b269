// SPDX-License-Identifier: MIT
/*
 * cli/diff.c - gmem diff: the same random steps on two implementations, until they differ
 */
#include <cpuid.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/profile.h"
#include "diff/diff.h"

#define OPS_DEFAULT 100000
#define SIDE_ARGS   20

struct diff_options {
	const char *seed, *ops, *seconds, *shape, *output, *model, *program;
	bool worker, verbose, plain;
};

#define FIELD(name) offsetof(struct diff_options, name)

static const struct option options[] = {
	{ OPTION_TEXT, "seed", FIELD(seed), "N", "where the steps come from; default: the time" },
	{ OPTION_TEXT, "ops", FIELD(ops), "N", "how many steps; default 100000" },
	{ OPTION_TEXT, "seconds", FIELD(seconds), "N", "end after that time, whatever --ops says" },
	{ OPTION_TEXT, "shape", FIELD(shape), "SHAPE", "of profiles; default host beside kernel, else mainline" },
	{ OPTION_TEXT, "output", FIELD(output), "FILE", "where the reproducer goes; default standard output" },
	{ OPTION_FLAG, "plain-guests", FIELD(plain), NULL, "guests load or store, not both at once (QEMU's interpreter)" },
	{ OPTION_FLAG, "verbose", FIELD(verbose), NULL, "count what was done, by step" },
	{ OPTION_FLAG, "worker", FIELD(worker), NULL, NULL },
	{ OPTION_TEXT, "model", FIELD(model), "PROFILE", NULL },
	{ OPTION_TEXT, "program", FIELD(program), "STEP", NULL },
	{ .kind = OPTION_END }
};

/* One side's command line and the memory that it points to. */
struct side {
	struct diff_side side;
	const char *argv[SIDE_ARGS];
	char name[64], engine[16], self[PATH_MAX];
	bool real_cpu;
};

struct totals {
	uint64_t steps, skipped, failed, signals, by_kind[DIFF_KINDS], done_by_kind[DIFF_KINDS];
};

static bool number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 0);
	return errno == 0 && *text && !*end;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The profile that a name begins with: "linux-6.18/eg"; NULL for kernel and model. */
static const struct core_profile *profile_of(const char *name)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "%.*s", (int)strcspn(name, "/+"), name);
	return core_profile_find(buf);
}

/* Behind the profile's name: an engine, "kvm" for the host's KVM as CPU; false when there is too much of it. */
static bool parse_details(struct side *s, const char *name)
{
	for (const char *at = strchr(name, '/'); at; at = strchr(at, '/')) {
		size_t len = strcspn(++at, "/");

		if (len == 3 && !strncmp(at, "kvm", len))
			s->real_cpu = true;
		else if (s->engine[0] || !len || len >= sizeof(s->engine))
			return false;
		else
			memcpy(s->engine, at, len);
	}
	return true;
}

/* The command line of a side; false when the name is none. */
static bool prepare(struct side *s, const char *name, const char *other, const char *shape)
{
	const char *in_place = strchr(name, '+');
	unsigned n = 0;

	*s = (struct side){ .side.name = name };
	s->side.argv = s->argv;
	if (readlink("/proc/self/exe", s->self, sizeof(s->self) - 1) < 0)
		return false;
	s->argv[n++] = s->self;
	if (profile_of(name)) {
		if (!parse_details(s, name))
			return false;
		snprintf(s->name, sizeof(s->name), "%s", profile_of(name)->name);
		s->argv[n++] = "run";
		s->argv[n++] = "--profile";
		s->argv[n++] = s->name;
		s->argv[n++] = "--engine";
		s->argv[n++] = s->engine[0] ? s->engine : "auto";
		s->argv[n++] = "--cpu";
		s->argv[n++] = s->real_cpu ? "kvm" : "soft";
		s->argv[n++] = "--shape";
		s->argv[n++] = shape ? shape : !strcmp(other, "kernel") ? "host" : "mainline";
		if (in_place) {
			s->argv[n++] = "--module-param";
			s->argv[n++] = "gmem_in_place_conversion=1";
		}
		s->argv[n++] = "--";
		s->argv[n++] = s->self;
	} else if (strcmp(name, "kernel") && strcmp(name, "model") && strncmp(name, "model:", 6)) {
		return false;
	}
	s->argv[n++] = "diff";
	s->argv[n++] = "--worker";
	if (!strncmp(name, "model", 5)) {
		s->argv[n++] = "--model";
		snprintf(s->name, sizeof(s->name), "%.*s", (int)strcspn(name[5] ? name + 6 : other, "/"),
			 name[5] ? name + 6 : other);
		s->argv[n++] = s->name;
	}
	return true;
}

static void count(struct totals *t, const struct diff_step *step, const struct diff_result *r)
{
	t->steps++;
	t->by_kind[step->kind]++;
	if (r->ret == -1000)
		t->skipped++;
	else if (r->sig)
		t->signals++;
	else if (r->ret < 0)
		t->failed++;
	else
		t->done_by_kind[step->kind]++;
}

static void report(struct side *a, struct side *b, struct diff_step *steps, unsigned n, const struct diff_result *ra,
		   const struct diff_result *rb, const struct diff_options *o)
{
	char ta[160], tb[160], title[600];
	FILE *out = stdout;
	unsigned left;

	diff_result_text(ra, ta, sizeof(ta));
	diff_result_text(rb, tb, sizeof(tb));
	fprintf(stderr, "gmem diff: step %u of its sequence: ", n);
	diff_print_step(stderr, &steps[n - 1]);
	fprintf(stderr, "\n  %s: %s\n  %s: %s\n", a->side.name, ta, b->side.name, tb);
	snprintf(title, sizeof(title), "%s: %s; %s: %s", a->side.name, ta, b->side.name, tb);
	left = diff_shrink(&a->side, &b->side, steps, n);
	if (!left)
		fprintf(stderr, "  not seen again in new processes: the whole sequence follows\n");
	else
		fprintf(stderr, "  shrunk to %u steps\n", left);
	if (o->output)
		out = fopen(o->output, "w");
	if (!out) {
		complain("%s: %m", o->output);
		return;
	}
	diff_print_program(out, steps, left ? left : n, title);
	if (out != stdout)
		fclose(out);
}

/* QEMU's interpreter is the processor: one that reads before it writes, where others tell KVM at once that they will write. */
static bool interpreted(void)
{
	unsigned leaf, b, c, d;

	__cpuid(0x40000000, leaf, b, c, d);
	return b == 0x54474354 && c == 0x43544743 && d == 0x47435447; /* TCGTCGTCGTCG */
}

/* Send sequence by sequence, one ahead of the answers; the exit status. */
static int compare(struct side *a, struct side *b, uint64_t seed, uint64_t ops, double until, const struct diff_options *o)
{
	static struct diff_step steps[2][DIFF_SEQUENCE];
	static struct diff_result ra[DIFF_SEQUENCE], rb[DIFF_SEQUENCE];
	struct diff_generator g;
	struct totals t = { 0 };
	uint64_t sequences = (ops + DIFF_SEQUENCE - 2) / (DIFF_SEQUENCE - 1), sent = 0;
	uint32_t types = a->side.vm_types & b->side.vm_types;
	const unsigned limits = (a->real_cpu || b->real_cpu ? DIFF_REAL_CPU : 0) |
				(interpreted() ? DIFF_READS_FIRST : 0) |
				(!strcmp(a->side.name, "kernel") || !strcmp(b->side.name, "kernel") ? DIFF_KERNEL : 0);

	for (uint64_t s = 0; s < sequences; s++) {
		struct diff_step *now_steps = steps[s % 2];

		for (; sent < sequences && sent <= s + 1; sent++) {
			struct diff_step *next = steps[sent % 2];

			diff_generator_init(&g, seed, sent, types, limits);
			g.plain = o->plain;
			for (unsigned i = 0; i + 1 < DIFF_SEQUENCE; i++)
				diff_generate(&g, &next[i]);
			next[DIFF_SEQUENCE - 1] = (struct diff_step){ .kind = DIFF_RESET };
			if (diff_side_send(&a->side, next, DIFF_SEQUENCE) < 0 || diff_side_send(&b->side, next, DIFF_SEQUENCE) < 0)
				break;
		}
		for (int which = 0; which < 2; which++) {
			struct side *side = which ? b : a;

			if (diff_side_receive(&side->side, which ? rb : ra, DIFF_SEQUENCE) == 0)
				continue;
			fprintf(stderr, "gmem diff: %s died or hangs in sequence %" PRIu64 " of seed %" PRIu64 "\n", side->side.name, s,
				seed);
			report(a, b, now_steps, DIFF_SEQUENCE - 1, &(struct diff_result){ 0 }, &(struct diff_result){ 0 }, o);
			return EXIT_ANSWER_NO;
		}
		for (unsigned i = 0; i + 1 < DIFF_SEQUENCE; i++) {
			count(&t, &now_steps[i], &ra[i]);
			if (diff_same(&ra[i], &rb[i]))
				continue;
			fprintf(stderr, "gmem diff: a difference after %" PRIu64 " steps, seed %" PRIu64 "\n", t.steps, seed);
			report(a, b, now_steps, i + 1, &ra[i], &rb[i], o);
			return EXIT_ANSWER_NO;
		}
		if (until && now() > until)
			break;
	}
	printf("%s and %s: %" PRIu64 " steps alike, seed %" PRIu64 " (%" PRIu64 " refused, %" PRIu64 " signals, %" PRIu64
	       " skipped)\n",
	       a->side.name, b->side.name, t.steps, seed, t.failed, t.signals, t.skipped);
	if (o->verbose) {
		for (unsigned k = 0; k < DIFF_KINDS; k++)
			printf("  %-14s %10" PRIu64 " %10" PRIu64 " succeeded\n", diff_names[k], t.by_kind[k], t.done_by_kind[k]);
	}
	return finish_output(0);
}

/* For tests: a program that ends with a step of that kind, the first that the generator makes; the exit status. */
static int print_example(const struct verb *verb, const char *name, uint64_t seed)
{
	static struct diff_step steps[DIFF_SEQUENCE];
	struct diff_generator g;
	unsigned kind = 0;

	while (kind < DIFF_KINDS && strcmp(diff_names[kind], name) != 0)
		kind++;
	if (kind == DIFF_KINDS)
		return options_error(&verb->usage, "no step is called %s", name);
	for (uint64_t s = 0;; s++) {
		diff_generator_init(&g, seed, s, 3, 0);
		for (unsigned i = 0; i + 1 < DIFF_SEQUENCE; i++) {
			diff_generate(&g, &steps[i]);
			if (steps[i].kind != kind)
				continue;
			diff_print_program(stdout, steps, i + 1, name);
			return finish_output(0);
		}
	}
}

/* Options may stand before, between and behind the two names. */
static int parse(const struct verb *verb, int argc, char **argv, struct diff_options *o, const char *names[2])
{
	int count_names = 0, status;

	for (;;) {
		int first = options_parse(&verb->usage, argc, argv, o, &status);

		if (first < 0)
			return status;
		if (first == argc)
			break;
		if (count_names == 2)
			return options_error(&verb->usage, "what is %s?", argv[first]);
		names[count_names++] = argv[first];
		argc -= first;
		argv += first;
	}
	if (!o->worker && !o->program && count_names < 2)
		return options_error(&verb->usage, "which two? Each is kernel, model, or a profile (linux-6.18, linux-7.4/eg, linux-7.3/kvm)");
	return -1;
}

static int diff(const struct verb *verb, int argc, char **argv)
{
	static struct side a, b;
	struct diff_options o = { 0 };
	const char *names[2] = { NULL };
	uint64_t seed = (uint64_t)time(NULL), ops = OPS_DEFAULT, seconds = 0;
	int status = parse(verb, argc, argv, &o, names);

	if (status >= 0)
		return status;
	if (o.worker)
		return diff_worker(o.model, STDIN_FILENO, STDOUT_FILENO);
	if ((o.seed && !number(o.seed, &seed)) || (o.ops && !number(o.ops, &ops)) || (o.seconds && !number(o.seconds, &seconds)))
		return options_error(&verb->usage, "--seed, --ops and --seconds take a number");
	if (o.program)
		return print_example(verb, o.program, seed);
	/* A time alone is a limit of its own. */
	if (o.seconds && !o.ops)
		ops = UINT64_MAX / 2;
	for (int i = 0; i < 2; i++) {
		if (!prepare(i ? &b : &a, names[i], names[!i], o.shape))
			return options_error(&verb->usage, "%s is neither kernel nor model nor a profile", names[i]);
	}
	for (int i = 0; i < 2; i++) {
		int ret = diff_side_start(i ? &b.side : &a.side);

		if (ret < 0) {
			complain("%s cannot be started: %s", names[i], strerror(-ret));
			diff_side_stop(&a.side);
			return EXIT_ANSWER_NO;
		}
	}
	status = compare(&a, &b, seed, ops, seconds ? now() + (double)seconds : 0, &o);
	diff_side_stop(&a.side);
	diff_side_stop(&b.side);
	return status;
}

const struct verb verb_diff = {
	.usage = { .name = "diff",
		   .summary = "Find where two kernels, profiles or engines differ",
		   .synopsis = "[OPTIONS] A B",
		   .options = options,
		   .error = EXIT_USAGE },
	.main = diff,
};
