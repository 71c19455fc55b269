/* SPDX-License-Identifier: MIT */
/*
 * device/stats.h - counters of VMs and vCPUs, and the file that shows them
 */
#ifndef GMEM_DEVICE_STATS_H
#define GMEM_DEVICE_STATS_H

#include "rt/types.h"

/* Positions in the file's data, all objects together; each uses a run of them. */
enum {
#define STAT(object, name) DEV_STAT_##object##_##name,
#include "device/stat.def"
#undef STAT
	DEV_STATS
};

struct dev_stats {
	u64 own[DEV_STATS]; /* until there is a file */
	u64 *shown;	    /* in its mapping */
	void *page;
	int keep; /* the file, when page is set */
};

/* Under what guards the object: a vCPU's mutex, dev_slots_lock for a VM. */
static inline void dev_stats_count(struct dev_stats *s, unsigned stat)
{
	(s->shown ? s->shown : s->own)[stat]++;
}

static inline void dev_stats_set(struct dev_stats *s, unsigned stat, u64 value)
{
	(s->shown ? s->shown : s->own)[stat] = value;
}

/* A descriptor for the program, with close-on-exec; -errno. */
int dev_stats_open(struct dev_stats *s, bool is_vcpu, const char *id);
void dev_stats_fini(struct dev_stats *s);

#endif
