// SPDX-License-Identifier: MIT
/*
 * rt/clock.c - the time that the kernel gives to inodes
 *
 * The coarse clock is a few loads in the vDSO: no system call, no use of the
 * time-stamp counter, which a program may have forbidden (PR_SET_TSC), no TLS.  The
 * vDSO stays where exec put it, and is there in a forked child as well; C
 * libraries rely on the same.
 */
#include "rt/clock.h"

#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/time.h>
#include <linux/time_types.h>

#include "rt/auxv.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define NS_PER_SEC 1000000000ULL

typedef int clock_gettime_fn(int clock, struct __kernel_timespec *ts);

static clock_gettime_fn *vdso_clock_gettime;

struct symbols {
	const Elf64_Sym *table;
	const char *names;
	const u32 *hash; /* the second word is the number of symbols */
};

/* Addresses in the vDSO's dynamic section are relative to its first page. */
static struct symbols find_symbols(const char *image)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)image;
	const Elf64_Phdr *phdr = (const Elf64_Phdr *)(const void *)(image + header->e_phoff);
	struct symbols found = { NULL, NULL, NULL };
	const Elf64_Dyn *dyn = NULL;

	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (phdr[i].p_type == PT_DYNAMIC)
			dyn = (const Elf64_Dyn *)(const void *)(image + phdr[i].p_offset);
	}
	for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
		const void *at = image + dyn->d_un.d_ptr;

		if (dyn->d_tag == DT_SYMTAB)
			found.table = at;
		else if (dyn->d_tag == DT_STRTAB)
			found.names = at;
		else if (dyn->d_tag == DT_HASH)
			found.hash = at;
	}
	return found;
}

void rt_clock_init(void)
{
	const char *image = (const char *)(uintptr_t)rt_auxv(AT_SYSINFO_EHDR);
	struct symbols s;

	if (!image)
		return;
	s = find_symbols(image);
	if (!s.table || !s.names || !s.hash)
		return;
	for (u32 i = 1; i < s.hash[1]; i++) {
		const Elf64_Sym *sym = &s.table[i];

		if (sym->st_shndx && rt_streq(s.names + sym->st_name, "__vdso_clock_gettime"))
			vdso_clock_gettime = (clock_gettime_fn *)(uintptr_t)(image + sym->st_value);
	}
}

u64 rt_clock_coarse(void)
{
	struct __kernel_timespec ts = { 0, 0 };

	if (!vdso_clock_gettime || vdso_clock_gettime(CLOCK_REALTIME_COARSE, &ts))
		rt_syscall_raw(__NR_clock_gettime, CLOCK_REALTIME_COARSE, (long)&ts, 0, 0, 0, 0);
	return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}
