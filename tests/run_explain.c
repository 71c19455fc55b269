// SPDX-License-Identifier: MIT
/*
 * tests/run_explain.c - calls that are refused and pages that must not be touched, counted
 *
 *	run_explain refusals		one line "CALL ERRNO" for each refused call
 *	run_explain touches N		N loads by one instruction, one store by another
 *	run_explain threads N		four threads, N refusals each
 *
 * Knows nothing of gmem.
 */
#include <linux/falloc.h>
#include <pthread.h>

#include "tests/run_kvm.h"

#define SIZE (16 * PG)

static int kvm, vm, file;

static void told(const char *call, long ret)
{
	int err = errno;

	if (ret != -1)
		printf("%s succeeded\n", call);
	else
		printf("%s %s\n", call, strerrorname_np(err));
}

static void refusals(void)
{
	char *map = map_shared(file, SIZE, 0);
	uint64_t where = 0;

	told("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, 77));
	told("KVM_CREATE_GUEST_MEMFD", gmem_try(vm, 123, 0));
	told("KVM_CREATE_GUEST_MEMFD", gmem_try(vm, SIZE, 1UL << 40));
	told("KVM_CREATE_GUEST_MEMFD", ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR));
	told("KVM_SET_USER_MEMORY_REGION2", set_region2(vm, 0, KVM_MEM_GUEST_MEMFD, 0, SIZE, 1 << 30, file, 1));
	told("KVM_SET_USER_MEMORY_REGION2", set_region2(vm, 0, KVM_MEM_GUEST_MEMFD, 0, SIZE, 1 << 30, 0, 0));
	told("KVM_SET_USER_MEMORY_REGION2", set_region2(vm, 0, KVM_MEM_GUEST_MEMFD, 0, SIZE, 1 << 30, -1, 0));
	told("KVM_SET_USER_MEMORY_REGION", set_region1(vm, 0, 0, 1, PG, 1 << 30));
	told("KVM_SET_MEMORY_ATTRIBUTES2", set_attr2(file, 0, 0, KVM_MEMORY_ATTRIBUTE_PRIVATE, &where));
	told("KVM_SET_MEMORY_ATTRIBUTES2", set_attr2(file, 0, SIZE, 1, &where));
	told("KVM_SET_MEMORY_ATTRIBUTES2", set_attr2(file, SIZE, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE, &where));
	told("fallocate", fallocate(file, 0, 0, PG));
	told("fallocate", fallocate(file, FALLOC_FL_KEEP_SIZE, 1, PG));
	told("mmap", mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED ? -1 : 0);
	told("madvise", madvise(map, SIZE, MADV_HWPOISON + 1000));
}

static sigjmp_buf back;

static void jump(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static void touches(int n)
{
	char *map;

	set_attr2(file, 0, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL);
	map = map_shared(file, SIZE, 0);
	signal(SIGBUS, jump);
	for (volatile int i = 0; i < n; i++) {
		if (!sigsetjmp(back, 1))
			(void)*(volatile char *)(map + i % PG);
	}
	if (!sigsetjmp(back, 1))
		*(volatile char *)map = 1;
	if (!sigsetjmp(back, 1))
		(void)*(volatile char *)map_shared(file, PG, SIZE);
}

static void *refused(void *arg)
{
	for (intptr_t i = 0; i < (intptr_t)arg; i++)
		gmem_try(vm, 123, 0);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];
	intptr_t n = argc > 2 ? atoi(argv[2]) : 0;

	kvm = kvm_open();
	vm = vm_new(kvm, 1);
	file = gmem_new(vm, SIZE, SHAREABLE);
	if (argc > 1 && !strcmp(argv[1], "refusals"))
		refusals();
	if (argc > 1 && !strcmp(argv[1], "touches"))
		touches((int)n);
	for (int i = 0; argc > 1 && !strcmp(argv[1], "threads") && i < 4; i++)
		pthread_create(&threads[i], NULL, refused, (void *)n);
	for (int i = 0; argc > 1 && !strcmp(argv[1], "threads") && i < 4; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
