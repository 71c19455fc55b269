/* SPDX-License-Identifier: MIT */
/*
 * overlay/wire.h - what a served program and `gmem run` (the broker) tell each other
 *
 * A SOCK_SEQPACKET socket under an abstract name, "@gmem-" and 32 hex digits,
 * which GMEM_BROKER in the environment carries without the '@'.  One message is
 * one struct wire_msg, perhaps with descriptors (SCM_RIGHTS).  The program sends
 * and does not wait, but for WIRE_ADOPT, which the broker answers.
 */
#ifndef GMEM_OVERLAY_WIRE_H
#define GMEM_OVERLAY_WIRE_H

#include "rt/types.h"

#define WIRE_VERSION 1
#define WIRE_TEXT    160

enum wire_kind {
	WIRE_HELLO = 1, /* pid, text = program's /proc/self/exe: a process is served */
	WIRE_REFUSAL,	/* pid, tid, rule, error, call, object, value, expected */
	WIRE_TOUCH,	/* pid, tid, address, pc, file, offset, text = who made it private, count */
	WIRE_NOTICE,	/* text: something the user must know */
	WIRE_FILE,	/* dev, ino, size, flags, file; 3 descriptors: placeholder, backing, state */
	WIRE_FILE_GONE, /* dev, ino */
	WIRE_ADOPT,	/* request: dev, ino.  Answer: WIRE_FILE with 3 descriptors, or WIRE_ADOPT with error */
	WIRE_UNSERVED	/* text: a program that cannot be served was (not) started; error = 0 if it was */
};

struct wire_msg {
	u32 version;
	u32 kind; /* enum wire_kind */
	s32 pid, tid;
	s32 error;   /* errno, positive */
	u32 rule;    /* enum core_rule_id */
	u64 file;    /* number of the file within this run */
	u64 offset;  /* bytes in the file */
	u64 address; /* of a touch */
	u64 pc;	     /* of a touch: the instruction */
	u64 count;   /* WIRE_REFUSAL: how many this line stands for; WIRE_TOUCH: so far, by this instruction */
	u64 value, expected; /* WIRE_TOUCH: value of count have been told before */
	u64 dev, ino; /* of the placeholder */
	u64 size, flags; /* of the file */
	u32 vm_type;
	u32 write;	 /* the touch was a store */
	char call[40];	 /* "KVM_SET_USER_MEMORY_REGION2" */
	char object[40]; /* "guest_memfd_offset" */
	char text[WIRE_TEXT];
};

/*
 * Environment that `gmem run` sets and the preload object reads:
 *   GMEM_PROFILE   profile name              GMEM_SHAPE    "mainline" or "host"
 *   GMEM_VM_TYPES  mask of further VM types  GMEM_IN_PLACE "0" or "1": gmem_in_place_conversion
 *   GMEM_ENGINE    engine name or "auto"     GMEM_BROKER   abstract socket name
 *   GMEM_EXPLAIN   "1": send WIRE_REFUSAL and WIRE_TOUCH
 *   GMEM_CPU       "kvm": guests run on the real /dev/kvm; else in software
 *   GMEM_ALLOW_UNSERVED "1": start programs that cannot be served
 *   GMEM_FILTERED  "1": a seccomp filter that was installed under gmem is in force; set by the program that installed it
 *   GMEM_SHAPE_HOST "tdp=0,smm=0,..." as the host's /dev/kvm answered (shape host)
 */
#define WIRE_ENV_PREFIX "GMEM_"
#define WIRE_ENV_FILTERED "GMEM_FILTERED="

#endif
