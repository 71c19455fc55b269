// SPDX-License-Identifier: MIT
/*
 * bench/vcpu.c - what a guest costs on a vCPU: instructions, exits, touches, creation, LOCK
 *
 *	vcpu CASE...     run the guest on /dev/kvm and print the figures, as bench/measure.c does:
 *			 loops, create, locks
 *	vcpu --image F   write the guest as a multiboot image, for another emulator
 *	vcpu --read F    print the figures of the loops from what the image wrote to its debug port
 *
 * The guest is one image everywhere.  It enters long mode itself, times its loops by
 * the time-stamp counter and writes each sample to port 0xe9, eight bytes; a write to
 * port 0xf4 ends it.
 */
#include <pthread.h>
#include <time.h>
#include <x86intrin.h>

#include "tests/run_kvm.h"
#include "uapi/kvm_vcpu.h"

#define BASE	   0x100000UL /* where the image is loaded */
#define RAM_SIZE   (64 * MiB)
#define SAMPLES	   31
#define DEBUG_PORT 0xe9
#define END_PORT   0xf4
#define COUNTER	   0x80000UL
#define LOCKS	   200000
#define LOCKERS	   4
#define CREATIONS  64
#define STR_(x)	   #x
#define STR(x)	   STR_(x)

/*
 * Page tables from 2 MiB on: 64 MiB at 0 in pages of 2 MiB, and at 1 GiB the memory from 16
 * to 32 MiB again in pages of 4 KiB.
 */
__asm__(".section .rodata\n"
	".balign 16\n"
	".globl guest_image, guest_entry, guest_locks, guest_image_end\n"
	".macro at reg, label\n"
	"	mov $0x100000 + \\label - guest_image, %\\reg\n"
	".endm\n"
	".macro fill to, first, step, n\n" /* n entries of 8 bytes */
	"	mov $\\first, %eax\n"
	"	mov $\\to, %edi\n"
	"	mov $\\n, %ecx\n"
	"8:	mov %eax, (%edi)\n"
	"	add $\\step, %eax\n"
	"	add $8, %edi\n"
	"	dec %ecx\n"
	"	jnz 8b\n"
	".endm\n"
	".macro sample_begin\n"
	"	mov $" STR(SAMPLES) ", %r15d\n"
	"7:	rdtsc\n"
	"	shl $32, %rdx\n"
	"	lea (%rdx, %rax), %r14\n"
	".endm\n"
	".macro sample_end\n"
	"	rdtsc\n"
	"	shl $32, %rdx\n"
	"	or %rdx, %rax\n"
	"	sub %r14, %rax\n"
	"	mov $8, %ecx\n"
	"8:	out %al, $0xe9\n"
	"	shr $8, %rax\n"
	"	dec %ecx\n"
	"	jnz 8b\n"
	"	dec %r15d\n"
	"	jnz 7b\n"
	".endm\n"
	".code32\n"
	"guest_image:\n"
	"	.long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000)\n"
	"	.long 0x100000, 0x100000, 0, 0, 0x100000 + guest_entry - guest_image\n"
	"guest_gdt:\n"
	"	.quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff\n"
	"guest_gdtr:\n"
	"	.word 23\n"
	"	.long 0x100000 + guest_gdt - guest_image\n"
	"guest_locks:\n"
	"	mov $" STR(LOCKS) ", %ecx\n"
	"1:	lock incl 0x80000\n"
	"	dec %ecx\n"
	"	jnz 1b\n"
	"	hlt\n"
	"guest_entry:\n"
	"	cld\n"
	"	mov $0x90000, %esp\n"
	"	mov $0x200000, %edi\n"
	"	xor %eax, %eax\n"
	"	mov $0x10000 / 4, %ecx\n"
	"	rep stosl\n"
	"	fill 0x200000, 0x201003, 0, 1\n"
	"	fill 0x201000, 0x202003, 0x1000, 2\n"
	"	fill 0x202000, 0x83, 0x200000, 32\n"
	"	fill 0x203000, 0x204003, 0x1000, 8\n"
	"	fill 0x204000, 0x1000003, 0x1000, 4096\n"
	"	mov $0x200000, %eax\n"
	"	mov %eax, %cr3\n"
	"	mov %cr4, %eax\n"
	"	or $0x20, %eax\n"
	"	mov %eax, %cr4\n"
	"	mov $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	or $0x100, %eax\n"
	"	wrmsr\n"
	"	mov %cr0, %eax\n"
	"	or $0x80000001, %eax\n"
	"	mov %eax, %cr0\n"
	"	at eax, guest_gdtr\n"
	"	lgdt (%eax)\n"
	"	ljmp $8, $0x100000 + guest_long - guest_image\n"
	".code64\n"
	"guest_long:\n"
	/* ALU: 3 instructions */
	"	sample_begin\n"
	"	mov $100000, %ecx\n"
	".balign 16, 0x90\n"
	"1:	add %rdx, %rbx\n"
	"	dec %rcx\n"
	"	jnz 1b\n"
	"	sample_end\n"
	/* stores of bytes: 4 instructions */
	"	sample_begin\n"
	"	mov $0x10000, %ecx\n"
	"	mov $0x2000000, %edi\n"
	".balign 16, 0x90\n"
	"1:	mov %al, (%rdi)\n"
	"	inc %rdi\n"
	"	dec %rcx\n"
	"	jnz 1b\n"
	"	sample_end\n"
	/* compared bytes: 6 instructions */
	"	sample_begin\n"
	"	mov $0x10000, %ecx\n"
	"	mov $0x2000000, %edi\n"
	".balign 16, 0x90\n"
	"1:	movzbl (%rdi), %eax\n"
	"	cmp 0x10000(%rdi), %al\n"
	"	je 2f\n"
	"2:	inc %rdi\n"
	"	dec %rcx\n"
	"	jnz 1b\n"
	"	sample_end\n"
	/* calls: 5 instructions */
	"	sample_begin\n"
	"	mov $50000, %ecx\n"
	"	jmp 1f\n"
	"3:	inc %rbx\n"
	"	ret\n"
	".balign 16, 0x90\n"
	"1:	call 3b\n"
	"	dec %rcx\n"
	"	jnz 1b\n"
	"	sample_end\n"
	/* PIO */
	"	sample_begin\n"
	"	mov $1000, %ecx\n"
	"1:	out %al, $0x80\n"
	"	dec %ecx\n"
	"	jnz 1b\n"
	"	sample_end\n"
	/* touches: 4096 pages, four times what the TLB of the software vCPU holds */
	"	sample_begin\n"
	"	mov $4096, %ecx\n"
	"	mov $0x1000000, %edi\n"
	"1:	mov %al, (%rdi)\n"
	"	add $4096, %rdi\n"
	"	dec %ecx\n"
	"	jnz 1b\n"
	"	sample_end\n"
	"	sample_begin\n"
	"	mov $4096, %ecx\n"
	"	mov $0x40000000, %edi\n"
	"1:	mov %al, (%rdi)\n"
	"	add $4096, %rdi\n"
	"	dec %ecx\n"
	"	jnz 1b\n"
	"	sample_end\n"
	"	out %al, $0xf4\n"
	"4:	hlt\n"
	"	jmp 4b\n"
	"guest_image_end:\n"
	".text\n");
extern const char guest_image[], guest_entry[], guest_locks[], guest_image_end[];

/* The guest's loops in order; steps of each in a sample. */
static const struct {
	const char *name;
	double steps;
	const char *unit;
} loops[] = {
	{ "vcpu-alu", 300000, "cycles" },
	{ "vcpu-store", 4 * 0x10000, "cycles" },
	{ "vcpu-compare", 6 * 0x10000, "cycles" },
	{ "vcpu-call", 5 * 50000, "cycles" },
	{ "vcpu-pio", 1000, "cycles" },
	{ "vcpu-touch-2M", 4096, "cycles" },
	{ "vcpu-touch-4K", 4096, "cycles" },
};
#define LOOPS (sizeof(loops) / sizeof(*loops))

static uint64_t samples[LOOPS * SAMPLES];

static void print_loops(void)
{
	for (size_t i = 0; i < LOOPS; i++) {
		printf("%s %s", loops[i].name, loops[i].unit);
		for (size_t n = 0; n < SAMPLES; n++)
			printf(" %.3f", (double)samples[i * SAMPLES + n] / loops[i].steps);
		putchar('\n');
	}
}

/* ---- the guest on KVM ---- */

struct machine {
	int kvm, vm;
	char *ram;
	size_t run_size;
};

struct vcpu {
	int fd;
	struct kvm_run *run;
};

static struct machine machine_new(void)
{
	struct machine m = { .kvm = kvm_open(), .ram = map_anon(RAM_SIZE) };

	m.vm = vm_new(m.kvm, 0);
	m.run_size = (size_t)ioctl(m.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	memcpy(m.ram + BASE, guest_image, (size_t)(guest_image_end - guest_image));
	if (set_region1(m.vm, 0, 0, 0, RAM_SIZE, (uintptr_t)m.ram))
		die("slot 0");
	return m;
}

static struct kvm_segment flat(unsigned type, unsigned selector)
{
	return (struct kvm_segment){ .limit = 0xffffffff, .selector = (uint16_t)selector, .type = (uint8_t)type,
				     .present = 1, .s = 1, .db = 1, .g = 1 };
}

/* All that the machine has: long mode is one of it. */
static void set_cpuid(const struct machine *m, int vcpu)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));

	if (!cpuid)
		die("calloc");
	cpuid->nent = 256;
	if (ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) || ioctl(vcpu, KVM_SET_CPUID2, cpuid))
		die("KVM_SET_CPUID2");
	free(cpuid);
}

/* As a multiboot loader leaves it: flat 32-bit segments, no paging. */
static struct vcpu vcpu_start(const struct machine *m, unsigned long id, const char *entry)
{
	struct kvm_regs regs = { .rip = BASE + (uint64_t)(entry - guest_image), .rflags = 2 };
	struct vcpu v = { .fd = ioctl(m->vm, KVM_CREATE_VCPU, id) };
	struct kvm_sregs s;

	if (v.fd < 0)
		die("KVM_CREATE_VCPU");
	set_cpuid(m, v.fd);
	v.run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v.fd, 0);
	if (v.run == MAP_FAILED || ioctl(v.fd, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS");
	s.cr0 |= 1;
	s.cs = flat(11, 8);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(3, 16);
	if (ioctl(v.fd, KVM_SET_SREGS, &s) || ioctl(v.fd, KVM_SET_REGS, &regs))
		die("KVM_SET_REGS");
	return v;
}

static void run_loops(void)
{
	struct machine m = machine_new();
	struct vcpu v = vcpu_start(&m, 0, guest_entry);
	size_t got = 0;

	for (;;) {
		const char *data;

		if (ioctl(v.fd, KVM_RUN, 0) < 0)
			die("KVM_RUN");
		if (v.run->exit_reason != KVM_EXIT_IO)
			die("exit %u", v.run->exit_reason);
		if (v.run->io.port == END_PORT)
			break;
		data = (const char *)v.run + v.run->io.data_offset;
		if (v.run->io.port == DEBUG_PORT && got < sizeof(samples))
			((char *)samples)[got++] = *data;
	}
	if (got != sizeof(samples))
		die("%zu bytes of samples", got);
	print_loops();
}

static void create(void)
{
	double took[CREATIONS];
	struct machine m = machine_new();
	struct timespec a, b;

	for (unsigned long i = 0; i < CREATIONS; i++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		if (ioctl(m.vm, KVM_CREATE_VCPU, i) < 0)
			die("KVM_CREATE_VCPU");
		clock_gettime(CLOCK_MONOTONIC, &b);
		took[i] = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
	}
	printf("vcpu-create ns");
	for (unsigned i = 0; i < CREATIONS; i++)
		printf(" %.1f", took[i]);
	putchar('\n');
}

static void *locker(void *arg)
{
	struct vcpu *v = arg;

	if (ioctl(v->fd, KVM_RUN, 0) < 0 || v->run->exit_reason != KVM_EXIT_HLT)
		die("KVM_RUN: exit %u", v->run->exit_reason);
	return NULL;
}

static void locks(void)
{
	struct machine m = machine_new();
	struct vcpu v[LOCKERS];
	pthread_t threads[LOCKERS];
	uint64_t start;
	uint32_t count;

	for (unsigned i = 0; i < LOCKERS; i++)
		v[i] = vcpu_start(&m, i, guest_locks);
	start = __rdtsc();
	for (unsigned i = 0; i < LOCKERS; i++)
		if (pthread_create(&threads[i], NULL, locker, &v[i]))
			die("pthread_create");
	for (unsigned i = 0; i < LOCKERS; i++)
		pthread_join(threads[i], NULL);
	start = __rdtsc() - start;
	memcpy(&count, m.ram + COUNTER, sizeof(count));
	printf("vcpu-lock-lost increments %ld\n", (long)LOCKERS * LOCKS - (long)count);
	printf("vcpu-lock cycles %.2f\n", (double)start / LOCKERS / LOCKS);
}

/* ---- the guest elsewhere ---- */

static void write_image(const char *path)
{
	const size_t size = (size_t)(guest_image_end - guest_image);
	FILE *f = fopen(path, "w");

	if (!f || fwrite(guest_image, 1, size, f) != size || fclose(f))
		die("%s", path);
}

static void read_samples(const char *path)
{
	FILE *f = fopen(path, "r");

	if (!f || fread(samples, 1, sizeof(samples), f) != sizeof(samples))
		die("%s", path);
	fclose(f);
	print_loops();
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "loops", run_loops },
	{ "create", create },
	{ "locks", locks },
};

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--image")) {
		write_image(argv[2]);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "--read")) {
		read_samples(argv[2]);
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		bool found = false;

		for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++)
			if (!strcmp(argv[i], cases[c].name)) {
				cases[c].run();
				found = true;
			}
		if (!found)
			die("no case %s", argv[i]);
	}
	return 0;
}
