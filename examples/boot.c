// SPDX-License-Identifier: MIT
/*
 * examples/boot.c - boots Linux: an ordinary KVM program whose guest's RAM is one guest_memfd file
 *
 *   boot KERNEL INITRD [CMDLINE]      (BOOT_MIB: megabytes of RAM, 256 unless told; BOOT_CPUS: 1 to 8)
 *
 * Knows nothing of gmem.  The file is made with GUEST_MEMFD_FLAG_MMAP and _INIT_SHARED and its mapping
 * is the slot's userspace_addr: what is loaded through the mapping is what the guest executes.
 *
 * The machine: vCPUs, KVM's interrupt controllers and PIT, a serial port with its interrupt (output
 * only: the console goes to stdout), a clock that tells the time, ACPI tables that name the interrupt
 * controllers.  No firmware, PCI or keyboard controller.  The kernel is entered as its documentation says
 * of 64-bit boot loaders (Documentation/arch/x86/boot.rst).
 *
 * A guest ends with a triple fault (reboot=t).  Exit status: 0 when its console has shown a line
 * "init: done" before, 1 when not, 2 when the machine could not be made or did something unexpected.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "boot_acpi.h"
#include "boot_devices.h"

/* What the system's header may be too old for. */
#ifndef KVM_CAP_GUEST_MEMFD
#define KVM_MEM_GUEST_MEMFD (1UL << 2)
struct kvm_userspace_memory_region2 {
	__u32 slot, flags;
	__u64 guest_phys_addr, memory_size, userspace_addr, guest_memfd_offset;
	__u32 guest_memfd, pad1;
	__u64 pad2[14];
};
struct kvm_create_guest_memfd {
	__u64 size, flags, reserved[6];
};
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_CREATE_GUEST_MEMFD	    _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS
#define KVM_CAP_GUEST_MEMFD_FLAGS    244
#define GUEST_MEMFD_FLAG_MMAP	     (1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ULL << 1)
#endif

#define MARKER	"init: done"
#define CMDLINE "console=ttyS0 earlyprintk=serial,ttyS0 pci=off panic=-1 reboot=t nokaslr mitigations=off"

/* Where things are in guest memory, below the first 640 KiB. */
enum { GDT = 0x10000, PARAMS = 0x11000, CMDLINE_AT = 0x12000, TABLES = 0x20000, LOW_END = 0x9fc00 };
#define HIGH_MEMORY 0x100000UL
#define PAGE	    4096UL
#define ENTRY_64    0x200 /* of the kernel's 64-bit code, behind its start */
#define COM1	    0x3f8
#define COM1_IRQ    4

struct machine {
	int vm;
	char *ram; /* the file's mapping */
	size_t size;
	unsigned cpus;
	struct vcpu {
		struct machine *m;
		int fd;
		struct kvm_run *run;
	} cpu[MAX_CPUS]; /* the first one boots, and starts the others */
};

static void fail(const char *what)
{
	fprintf(stderr, "boot: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void refuse(const char *what)
{
	fprintf(stderr, "boot: %s\n", what);
	exit(2);
}

/* ---- memory ---- */

static void add_memory(struct machine *m)
{
	const unsigned long flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	struct kvm_create_guest_memfd create = { .size = m->size, .flags = flags };
	struct kvm_userspace_memory_region2 region = { .flags = KVM_MEM_GUEST_MEMFD, .memory_size = m->size };
	int offered = ioctl(m->vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS), file;

	if (offered < 0 || ((unsigned long)offered & flags) != flags)
		refuse("this KVM has no guest_memfd that can be mapped (Linux 6.18)");
	file = ioctl(m->vm, KVM_CREATE_GUEST_MEMFD, &create);
	if (file < 0)
		fail("KVM_CREATE_GUEST_MEMFD");
	m->ram = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (m->ram == MAP_FAILED)
		fail("mmap");
	region.userspace_addr = (uintptr_t)m->ram;
	region.guest_memfd = (unsigned)file;
	if (ioctl(m->vm, KVM_SET_USER_MEMORY_REGION2, &region) < 0)
		fail("KVM_SET_USER_MEMORY_REGION2");
}

/* ---- loading ---- */

static char *map_input(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *map;

	if (fd < 0 || fstat(fd, &st) < 0)
		fail(path);
	*size = (size_t)st.st_size;
	map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		fail(path);
	close(fd);
	return map;
}

static void add_e820(struct boot_params *params, uint64_t from, uint64_t to, unsigned type)
{
	struct boot_e820_entry *e = &params->e820_table[params->e820_entries++];

	e->addr = from;
	e->size = to - from;
	e->type = type;
}

/* The highest place that the kernel can reach. */
static void load_initrd(struct machine *m, struct boot_params *params, const char *path)
{
	size_t size, end = m->size;
	char *initrd = map_input(path, &size);

	if (end > params->hdr.initrd_addr_max)
		end = (size_t)params->hdr.initrd_addr_max + 1;
	if (size > end / 2)
		refuse("the initrd is too large for the guest's memory");
	params->hdr.ramdisk_image = (uint32_t)((end - size) & ~(PAGE - 1));
	params->hdr.ramdisk_size = (uint32_t)size;
	memcpy(m->ram + params->hdr.ramdisk_image, initrd, size);
	munmap(initrd, size);
}

/* Returns where the kernel's 64-bit code begins. */
static uint64_t load_kernel(struct machine *m, const char *path, const char *initrd, const char *cmdline)
{
	struct boot_params *params = (void *)(m->ram + PARAMS);
	size_t size, setup, at;
	char *image = map_input(path, &size);

	if (size < 0x1000 || memcmp(image + 0x202, "HdrS", 4) != 0)
		refuse("the kernel is no bzImage");
	/* The header ends where its jump at 0x200 goes to. */
	memcpy(&params->hdr, image + 0x1f1, 0x202 + (uint8_t)image[0x201] - 0x1f1);
	if (params->hdr.version < 0x20c || !(params->hdr.xloadflags & XLF_KERNEL_64))
		refuse("the kernel has no 64-bit entry");
	setup = ((params->hdr.setup_sects ? params->hdr.setup_sects : 4) + 1U) * 512;
	at = params->hdr.pref_address;
	if (setup >= size || at + params->hdr.init_size > m->size || at + (size - setup) > m->size)
		refuse("the kernel is too large for the guest's memory");
	memcpy(m->ram + at, image + setup, size - setup);
	munmap(image, size);

	if (strlen(cmdline) > params->hdr.cmdline_size || strlen(cmdline) >= TABLES - CMDLINE_AT)
		refuse("the command line is too long");
	strcpy(m->ram + CMDLINE_AT, cmdline);
	params->hdr.cmd_line_ptr = CMDLINE_AT;
	params->hdr.type_of_loader = 0xff;
	params->hdr.loadflags |= LOADED_HIGH;
	params->hdr.vid_mode = 0xffff;
	load_initrd(m, params, initrd);
	add_e820(params, 0, LOW_END, 1);
	add_e820(params, LOW_END, HIGH_MEMORY, 2);
	add_e820(params, HIGH_MEMORY, m->size, 1);
	params->acpi_rsdp_addr = write_acpi(m->ram, m->cpus);
	return at + ENTRY_64;
}

/* ---- the vCPU as a boot loader leaves it ---- */

/* The first 4 GiB, one to one, in pages of 2 MiB. */
static void write_tables(struct machine *m)
{
	uint64_t *pml4 = (void *)(m->ram + TABLES), *pdpt = pml4 + 512, *pd = pdpt + 512;

	pml4[0] = (TABLES + PAGE) | 3;
	for (unsigned i = 0; i < 4; i++)
		pdpt[i] = (TABLES + (2 + i) * PAGE) | 3;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | 0x83;
}

static void enter_long_mode(struct machine *m, uint64_t entry)
{
	/* As the descriptors in the table say: flat, code of 64 bits at 0x10, data at 0x18. */
	const struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 0x10, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x18, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	const uint64_t gdt[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	struct kvm_regs regs = { .rip = entry, .rsi = PARAMS, .rflags = 2 };
	struct kvm_sregs sregs;
	int fd = m->cpu[0].fd;

	memcpy(m->ram + GDT, gdt, sizeof(gdt));
	write_tables(m);
	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		fail("KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.gdt.base = GDT;
	sregs.gdt.limit = sizeof(gdt) - 1;
	sregs.idt.limit = 0;
	sregs.cr3 = TABLES;
	sregs.cr4 = 1 << 5;	       /* PAE */
	sregs.efer = 1 << 8 | 1 << 10; /* LME, LMA */
	sregs.cr0 = 0x80050033;	       /* PG AM WP NE ET MP PE */
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(fd, KVM_SET_REGS, &regs) < 0)
		fail("the vCPU's registers");
}

/* All that this KVM can do, and which one of the processors this is. */
static void offer_cpuid(int kvm, int vcpu, unsigned id)
{
	enum { ENTRIES = 256 };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));

	if (!cpuid)
		fail("calloc");
	cpuid->nent = ENTRIES;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		fail("KVM_GET_SUPPORTED_CPUID");
	for (unsigned i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == 1)
			e->ebx = (e->ebx & 0xffffff) | id << 24;
		else if (e->function == 0xb || e->function == 0x1f)
			e->edx = id;
	}
	if (ioctl(vcpu, KVM_SET_CPUID2, cpuid) < 0)
		fail("KVM_SET_CPUID2");
	free(cpuid);
}

static void add_cpu(int kvm, struct machine *m, unsigned id)
{
	int fd = ioctl(m->vm, KVM_CREATE_VCPU, (unsigned long)id), size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run;

	if (fd < 0)
		fail("KVM_CREATE_VCPU");
	if (size < (int)sizeof(*run))
		fail("KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED)
		fail("mmap of the vCPU");
	offer_cpuid(kvm, fd, id);
	m->cpu[id] = (struct vcpu){ m, fd, run };
}

static void make_machine(struct machine *m)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	uint64_t identity = 0xfffbc000;

	if (kvm < 0)
		fail("/dev/kvm");
	m->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (m->vm < 0)
		fail("KVM_CREATE_VM");
	/* Old Intel CPUs need three pages for real mode, out of the way. */
	if (ioctl(m->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 || ioctl(m->vm, KVM_SET_TSS_ADDR, 0xfffbd000UL) < 0)
		fail("KVM_SET_TSS_ADDR");
	if (ioctl(m->vm, KVM_CREATE_IRQCHIP, 0) < 0)
		fail("KVM_CREATE_IRQCHIP");
	if (ioctl(m->vm, KVM_CREATE_PIT2, &pit) < 0)
		fail("KVM_CREATE_PIT2");
	add_memory(m);
	for (unsigned i = 0; i < m->cpus; i++)
		add_cpu(kvm, m, i);
}

/* ---- the console ---- */

static bool marker_seen;

/* To stdout, line by line; the marker is a line of its own. */
static void console(char c)
{
	static char line[256];
	static size_t length;

	if (c == '\r')
		return;
	putchar(c);
	if (c != '\n') {
		if (length < sizeof(line) - 1)
			line[length++] = c;
		return;
	}
	line[length] = 0;
	length = 0;
	marker_seen |= strcmp(line, MARKER) == 0;
	fflush(stdout);
}

/* ---- running ---- */

static void uart_interrupt(const struct machine *m)
{
	static bool raised;
	struct kvm_irq_level level = { .irq = COM1_IRQ, .level = uart_line() };

	if (level.level == raised)
		return;
	raised = level.level;
	if (ioctl(m->vm, KVM_IRQ_LINE, &level) < 0)
		fail("KVM_IRQ_LINE");
}

/* What the guest writes into ACPI's enable register it wants to read back; no event ever comes. */
static uint8_t pm1_enable[2];

static uint8_t port_in(unsigned port)
{
	if (port >= COM1 && port < COM1 + 8)
		return uart_read(port - COM1);
	if (port >= PM1 + 2 && port < PM1 + 4)
		return pm1_enable[port - PM1 - 2];
	if (port >= PM1 && port < PM1 + 6)
		return port == PM1 + 4; /* always in ACPI mode */
	return port == 0x71 ? cmos_read() : 0xff;
}

static void port_out(unsigned port, uint8_t value)
{
	if (port >= COM1 && port < COM1 + 8)
		uart_write(port - COM1, value);
	else if (port >= PM1 + 2 && port < PM1 + 4)
		pm1_enable[port - PM1 - 2] = value;
	else if (port == 0x70)
		cmos_index = value;
}

/* Every device here has byte registers; nobody answers on other ports. */
static void serve_port(struct machine *m, struct kvm_run *run)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned size = run->io.size;

	pthread_mutex_lock(&mutex);
	for (unsigned i = 0; i < run->io.count * size; i++) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			port_out(run->io.port + i % size, data[i]);
		else
			data[i] = port_in(run->io.port + i % size);
	}
	uart_interrupt(m);
	pthread_mutex_unlock(&mutex);
}

static int ended(void)
{
	fflush(stdout);
	if (marker_seen)
		return 0;
	fprintf(stderr, "boot: the guest ended without a line \"%s\"\n", MARKER);
	return 1;
}

/* Returns, with the exit status, when one of the vCPUs shuts down. */
static int run_cpu(struct vcpu *cpu)
{
	struct kvm_run *run = cpu->run;

	for (;;) {
		if (ioctl(cpu->fd, KVM_RUN, 0) < 0) {
			/* EAGAIN: this one is not started yet. */
			if (errno == EINTR || errno == EAGAIN)
				continue;
			fprintf(stderr, "boot: exit reason %u\n", run->exit_reason);
			fail("KVM_RUN");
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			serve_port(cpu->m, run);
			break;
		case KVM_EXIT_MMIO:
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
			break;
		case KVM_EXIT_SHUTDOWN:
			return ended();
		default:
			fflush(stdout);
			fprintf(stderr, "boot: exit reason %u, suberror %u\n", run->exit_reason,
				run->internal.suberror);
			return 2;
		}
	}
}

static void *run_thread(void *cpu)
{
	/* Whichever vCPU shuts down ends the machine. */
	_exit(run_cpu(cpu));
}

static int run(struct machine *m)
{
	pthread_t thread;

	for (unsigned i = 1; i < m->cpus; i++) {
		if (pthread_create(&thread, NULL, run_thread, &m->cpu[i]) != 0)
			refuse("no thread for a vCPU");
	}
	return run_cpu(&m->cpu[0]);
}

/* A host that is busy is no clock to measure the counter by: the guest is told. */
static const char *default_cmdline(const struct machine *m)
{
	static char line[sizeof(CMDLINE) + 64];
	int khz = ioctl(m->cpu[0].fd, KVM_GET_TSC_KHZ, 0);

	if (khz <= 0)
		return CMDLINE;
	snprintf(line, sizeof(line), "%s tsc=reliable tsc_early_khz=%d", CMDLINE, khz);
	return line;
}

int main(int argc, char **argv)
{
	const char *mib = getenv("BOOT_MIB"), *cpus = getenv("BOOT_CPUS");
	struct machine m = { .size = (mib ? strtoul(mib, NULL, 10) : 256UL) << 20,
			     .cpus = cpus ? (unsigned)strtoul(cpus, NULL, 10) : 1 };

	if (argc < 3 || argc > 4 || m.size < 32UL << 20 || m.size > 3UL << 30 || m.cpus < 1 || m.cpus > MAX_CPUS) {
		fprintf(stderr, "usage: boot KERNEL INITRD [CMDLINE]      (BOOT_MIB: 32 to 3072, BOOT_CPUS: 1 to 8)\n");
		return 2;
	}
	make_machine(&m);
	enter_long_mode(&m, load_kernel(&m, argv[1], argv[2], argc > 3 ? argv[3] : default_cmdline(&m)));
	return run(&m);
}
