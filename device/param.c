// SPDX-License-Identifier: MIT
/*
 * device/param.c - module parameters of the emulated kernel
 */
#include <linux/fcntl.h>
#include <linux/memfd.h>

#include "device/internal.h"
#include "device/param.h"
#include "rt/format.h"
#include "rt/string.h"
#include "rt/syscall.h"

enum vendor { ANY, AMD, INTEL };

static const struct {
	enum vendor vendor;
	const char *name, *value;
} params[] = {
#define PARAM(name, value) { ANY, #name, value },
#define PARAM_OF(vendor, name, value) { vendor, name, value },
#include "device/param.def"
#undef PARAM
#undef PARAM_OF
};

/* Hygon's CPUs are AMD's to KVM. */
static enum vendor host_vendor(void)
{
	u32 eax = 0, ebx, ecx = 0, edx;

	__asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx == 0x756e6547 /* Genu */ ? INTEL : AMD;
}

static const char *param_value(const char *name)
{
	if (rt_streq(name, "gmem_in_place_conversion")) {
		if (!dev_config.sys.profile->in_place_param)
			return NULL;
		return dev_config.sys.in_place ? "Y" : "N";
	}
	for (size_t i = 0; i < RT_ARRAY_SIZE(params); i++) {
		if (rt_streq(name, params[i].name) && (params[i].vendor == ANY || params[i].vendor == host_vendor()))
			return params[i].value;
	}
	return NULL;
}

bool dev_param_exists(const char *name)
{
	return param_value(name) != NULL;
}

int dev_param_open(const char *name, int flags)
{
	const char *value = param_value(name);
	char text[32];
	size_t n;
	long fd;

	if (!value)
		return -ENOENT;
	/* Mode 0444 for all: even root's writing finds no store method. */
	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	fd = rt_syscall(__NR_memfd_create, name, flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
	if (rt_is_err(fd))
		return (int)fd;
	n = rt_format(text, sizeof(text), "%s\n", value);
	if (rt_syscall(__NR_pwrite64, fd, text, n, 0) != (long)n) {
		rt_close((int)fd);
		return -ENOMEM;
	}
	return (int)fd;
}
