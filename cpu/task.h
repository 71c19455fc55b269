/* SPDX-License-Identifier: MIT */
/*
 * cpu/task.h - hardware task switches of protected mode
 */
#ifndef GMEM_CPU_TASK_H
#define GMEM_CPU_TASK_H

#include "cpu/internal.h"

/* CALL is an event's, too: the new task is nested in the old one. */
enum cpu_task_switch { CPU_TASK_JUMP, CPU_TASK_CALL, CPU_TASK_RETURN };

/* To the TSS of selector; rip and flags are what the old task goes on with; error: pushed on the new stack, or NULL. */
void cpu_task_switch(struct cpu *cpu, u16 selector, enum cpu_task_switch how, u64 rip, u64 flags, const u32 *error);
/* JMP or CALL to descriptor d: true when it was a TSS or a task gate, and the new task is running. */
bool cpu_task_transfer(struct cpu *cpu, u16 selector, u64 d, enum cpu_task_switch how, u64 next);
/* The rest of a switch that an exit cut short. */
void cpu_task_finish(struct cpu *cpu);
/* IRET with NT. */
void cpu_task_return(struct cpu *cpu, u64 next);

#endif
