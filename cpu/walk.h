/* SPDX-License-Identifier: MIT */
/*
 * cpu/walk.h - the guest's page tables, and asking the owner for pages
 */
#ifndef GMEM_CPU_WALK_H
#define GMEM_CPU_WALK_H

#include "cpu/internal.h"

/* MODE_ALIGNED: a user whose accesses are checked for alignment, which are never in the TLB (M-6). */
enum { MODE_SMAP = 0, MODE_USER = 1, MODE_SUPER = 2, MODE_ALIGNED = 3 };

struct cpu_walk {
	u64 gpa;    /* of the address itself */
	bool write; /* a write would be allowed and D is set */
	u32 error;  /* of the #PF, when cpu_walk() returned false */
};

/* The owner's page at gpa.  What is not memory ends in an exit; CPU_MAP_RAM and CPU_MAP_MMIO come back. */
enum cpu_map cpu_ask(struct cpu *cpu, u64 gpa, unsigned access, struct cpu_page *page);
/* What la means; mark: set A, and D for a write.  false: ret->error is the page fault's code. */
bool cpu_walk(struct cpu *cpu, u64 la, unsigned access, unsigned mode, bool mark, struct cpu_walk *ret);

#endif
