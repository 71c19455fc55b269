/* SPDX-License-Identifier: MIT */
/*
 * uapi/mm.h - memory management constants newer than the oldest kernel headers that gmem builds with
 */
#ifndef GMEM_UAPI_MM_H
#define GMEM_UAPI_MM_H

#include <linux/ioctl.h>
#include <linux/userfaultfd.h>

#include "rt/types.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

/* userfaultfd, Linux 6.6: the structure has a name of ours since headers that know it have theirs. */
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1ULL << 14)
#endif
#define GMEM_UFFDIO_POISON_NR 0x08
#define GMEM_UFFDIO_POISON    _IOWR(UFFDIO, GMEM_UFFDIO_POISON_NR, struct gmem_uffdio_poison)

struct gmem_uffdio_poison {
	struct uffdio_range range;
	u64 mode;
	s64 updated;
};

_Static_assert(sizeof(struct gmem_uffdio_poison) == 32, "as in the kernel's ABI");

#define GMEM_NR_MSEAL 462 /* Linux 6.10 */

/* cachestat, Linux 6.5: its range is an offset and a length. */
#define GMEM_NR_CACHESTAT 451

struct gmem_cachestat {
	u64 nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted;
};

/* Bits of a word of /proc/self/pagemap. */
#define GMEM_PAGEMAP_GUARD   (1ULL << 58)
#define GMEM_PAGEMAP_SWAP    (1ULL << 62) /* in a shmem mapping: a poison marker */
#define GMEM_PAGEMAP_PRESENT (1ULL << 63)

#endif
