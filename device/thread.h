/* SPDX-License-Identifier: MIT */
/*
 * device/thread.h - which thread is in KVM_RUN, and the program's signals meanwhile
 *
 * A thread is known by its FS base, which two living threads of a C library
 * never share and which costs no system call to read.  A signal that arrives within KVM_RUN
 * is put off by the entry (overlay/signal.c) and makes KVM_RUN return; it is sent again when that has let go of all.
 */
#ifndef GMEM_DEVICE_THREAD_H
#define GMEM_DEVICE_THREAD_H

#include "rt/types.h"

struct dev_vcpu;

struct dev_thread {
	_Atomic u64 word; /* identity and flags */
	struct dev_vcpu *_Atomic vcpu; /* whose mutex it holds */
	_Atomic bool deferred; /* a signal waits */
	_Atomic bool touching; /* memory of the program that KVM_PRE_FAULT_MEMORY populates */
	_Atomic s32 timer;     /* id + 1; see device/stuck.c */
};

void dev_thread_init(void);
/* NULL when too many threads are in KVM_RUN. */
struct dev_thread *dev_thread_enter(void);
void dev_thread_leave(struct dev_thread *thread);
/* This thread's entry when it is in KVM_RUN, else NULL; async-signal-safe. */
struct dev_thread *dev_thread_here(void);
/* Its timer ends; device/stuck.c. */
void dev_stuck_leave(struct dev_thread *thread);
/* In a forked child, where nobody is. */
void dev_thread_forked(void);

#endif
