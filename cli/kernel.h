/* SPDX-License-Identifier: MIT */
/*
 * cli/kernel.h - what the kernel that is emulated is to be: profile, shape, VM types
 */
#ifndef GMEM_CLI_KERNEL_H
#define GMEM_CLI_KERNEL_H

#include "core/profile.h"

#define KERNEL_WHY 256

/* What the user asked for; NULL fields are defaults. */
struct kernel_request {
	const char *profile;
	const char *shape;
	const char *vm_types;	  /* "sev,snp" */
	const char *module_param; /* "gmem_in_place_conversion=1" */
};

/* Rows of a verb's options for all but the profile, whose meaning differs; FIELD() and member are the verb's own. */
#define KERNEL_OPTIONS(member) \
	{ OPTION_TEXT, "shape", FIELD(member.shape), "SHAPE", "configuration and hardware: mainline (default), host, FIELD=N,..." }, \
	{ OPTION_TEXT, "vm-types", FIELD(member.vm_types), "LIST", "further VM types: sev,sev-es,snp,tdx" }, \
	{ OPTION_TEXT, "module-param", FIELD(member.module_param), "NAME=N", "gmem_in_place_conversion=0 or 1" }

struct kernel {
	struct core_sys sys;
	u64 extra_types;
	int in_place; /* -1 default, else 0 or 1 */
};

/* 0, or -errno with the reason in why. */
int kernel_init(struct kernel *kernel, const struct kernel_request *request, char why[KERNEL_WHY]);

/*
 * The shape of the machine as the real /dev/kvm tells it: 0, or -errno of its open.
 * kernel_shape_text() writes it as GMEM_SHAPE_HOST carries it.
 */
int kernel_host_shape(struct core_shape *shape);
void kernel_shape_text(const struct core_shape *shape, char *buf, size_t size);

/* "linux-6.18, linux-7.3": names of all profiles, for messages. */
void kernel_profile_names(char *buf, size_t size);

#endif
