/* SPDX-License-Identifier: MIT */
/*
 * diff/diff.h - two implementations make the same steps: the parts of `gmem diff`
 *
 *   generate*.c a seed -> steps            execute.c  steps on real calls
 *   model*.c    steps on flat arrays       worker.c   a process that makes steps for the verb
 *   print.c     steps as a program         shrink.c   fewer steps with the same difference
 *
 * Steps go to workers in batches and results come back in order.  A sequence is
 * what lies between two resets: only within it can steps depend on each other.
 */
#ifndef GMEM_DIFF_DIFF_H
#define GMEM_DIFF_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define DIFF_ARGS     8
#define DIFF_VMS      3
#define DIFF_SEQUENCE 500 /* steps between resets */

enum diff_kind {
#define STEP(name, args, weight, call) DIFF_##name,
#include "diff/step.def"
#undef STEP
	DIFF_KINDS,
	DIFF_RESET = DIFF_KINDS /* close everything */
};

struct diff_step {
	uint32_t kind;
	uint64_t a[DIFF_ARGS];
};

struct diff_result {
	int64_t ret;
	uint64_t aux;
	int32_t sig, code;
};

extern const char *const diff_names[DIFF_KINDS];
extern const unsigned diff_args[DIFF_KINDS];

/* What two sides differ in for a reason that lies beneath them: kept out of sequences with guests. */
enum {
	DIFF_REAL_CPU = 1, /* docs/real-cpu.md: instructions with MMIO and memory (own-accesses), slots at high addresses */
	DIFF_READS_FIRST = 2, /* a processor that reads before it changes, so that a read-only slot has to be readable */
	DIFF_KERNEL = 4,      /* pins, pre-faulting; docs/divergences.md, shadow-prefetch */
};

/* What both sides can do, for the bias of the generator. */
struct diff_generator {
	uint64_t random;
	uint32_t vm_types; /* mask */
	bool guards;	   /* this sequence has guard pages, and no holes */
	bool guests;	   /* has vCPUs, and no memory that can be written only */
	unsigned limits;
	bool plain;	   /* guests load or store, and never both at once */
	bool logs;	   /* has slots that log, and guests that write whenever they read */
	bool emulated;	   /* no side is a real kernel: pins, and KVM_PRE_FAULT_MEMORY, which not every host has */
	bool errors;	   /* has memory errors, where emulated */
	struct {
		bool used;
		unsigned type;
	} vm[DIFF_VMS];
	struct {
		bool used;
		uint64_t size, flags;
	} file[6];
	struct {
		uint64_t at, pages;
		unsigned file;
	} window[6];
	struct {
		bool used;
		uint64_t gpa, size, hva, flags;
	} slot[DIFF_VMS][6];
	bool vcpu[2];
	struct {
		unsigned file;
		uint64_t offset;
	} pin[16];
	unsigned pin_count;
};

void diff_generator_init(struct diff_generator *g, uint64_t seed, uint64_t sequence, uint32_t vm_types, unsigned limits);
void diff_generate(struct diff_generator *g, struct diff_step *step);

/* An implementation in this process: begin() once, then steps. */
int diff_execute_begin(void);
void diff_execute(const struct diff_step *step, struct diff_result *result);
extern const char diff_calls_text[]; /* diff/calls*.h, one behind the other */
int diff_model_begin(const char *profile);
void diff_model(const struct diff_step *step, struct diff_result *result);

/* The process at the other end of two pipes; model: profile name, or NULL for real calls.  The exit status. */
int diff_worker(const char *model, int in, int out);

struct diff_side {
	const char *name; /* as given */
	const char *const *argv; /* that starts its worker */
	pid_t pid;
	int to, from;
	uint32_t vm_types;
};
/* 0, or -errno. */
int diff_side_start(struct diff_side *side);
void diff_side_stop(struct diff_side *side);
/* Make steps on a side: 0, or -EPIPE when it died. */
int diff_side_send(struct diff_side *side, const struct diff_step *steps, unsigned count);
int diff_side_receive(struct diff_side *side, struct diff_result *results, unsigned count);

bool diff_same(const struct diff_result *a, const struct diff_result *b);
/* Leave out what the difference of the last step does not need; new processes for each try. */
unsigned diff_shrink(struct diff_side *a, struct diff_side *b, struct diff_step *steps, unsigned count);
void diff_print_program(FILE *out, const struct diff_step *steps, unsigned count, const char *title);
void diff_print_step(FILE *out, const struct diff_step *step);
void diff_result_text(const struct diff_result *result, char *buf, size_t size);

#endif
