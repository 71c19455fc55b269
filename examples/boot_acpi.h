/* SPDX-License-Identifier: MIT */
/*
 * examples/boot_acpi.h - the ACPI tables of boot.c's machine
 *
 * They say that there is a local APIC for each processor and an I/O APIC, and no more than a kernel insists on.
 */
#ifndef EXAMPLES_BOOT_ACPI_H
#define EXAMPLES_BOOT_ACPI_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MAX_CPUS = 8 };
#define ACPI_AT 0xe0040 /* in guest memory; the root pointer before it */
#define PM1	0x600	/* the ports of power management, which has nothing to manage */

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));

/* Revision 3, up to its 64-bit addresses that matter here. */
struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs, dsdt;
	uint8_t reserved, profile;
	uint16_t sci;
	uint32_t smi_command;
	uint8_t commands[4];
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe[2];
	uint8_t pm1_event_length, pm1_control_length, lengths[6];
	uint16_t latency[2], flush[2];
	uint8_t duty[2], alarm[3];
	uint16_t boot_flags;
	uint8_t reserved2;
	uint32_t flags;
	uint8_t reset[16];
	uint64_t x_facs, x_dsdt;
	uint8_t x_blocks[96];
} __attribute__((packed));

struct acpi_madt {
	struct acpi_header header;
	uint32_t lapic_address, flags;
	struct {
		uint8_t type, length, id, reserved;
		uint32_t address, first_gsi;
	} __attribute__((packed)) ioapic;
	struct {
		uint8_t type, length, uid, id;
		uint32_t flags;
	} __attribute__((packed)) lapic[MAX_CPUS];
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t checksum_all, reserved[3];
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_fadt) == 244 && sizeof(struct acpi_rsdp) == 36, "layouts of the specification");

static uint8_t complement(const void *data, size_t size)
{
	const uint8_t *at = data;
	uint8_t sum = 0;

	while (size--)
		sum += *at++;
	return (uint8_t)-sum;
}

/* Returns where it is. */
static uint64_t add_table(char *ram, void *table, const char *signature, uint8_t revision, size_t size)
{
	static uint64_t next = ACPI_AT;
	struct acpi_header *h = table;
	uint64_t at = next;

	memcpy(h->signature, signature, 4);
	memcpy(h->oem, "BOOT  ", 6);
	memcpy(h->oem_table, "EXAMPLE ", 8);
	memcpy(h->creator, "BOOT", 4);
	h->length = (uint32_t)size;
	h->revision = revision;
	h->checksum = complement(table, size);
	memcpy(ram + at, table, size);
	next += (size + 15) & ~15UL;
	return at;
}

/* Returns the root pointer's address. */
static uint64_t write_acpi(char *ram, unsigned cpus)
{
	struct acpi_header dsdt = { .length = 0 };
	struct acpi_fadt fadt = { .sci = 9,
				  .pm1a_event = PM1,
				  .pm1a_control = PM1 + 4,
				  .pm1_event_length = 4,
				  .pm1_control_length = 2,
				  .boot_flags = 1 << 0 | 1 << 2,	     /* devices of old; no VGA */
				  .flags = 1 << 0 | 1 << 4 | 1 << 5 };	     /* WBINVD works; no buttons */
	struct acpi_madt madt = { .lapic_address = 0xfee00000, .flags = 1 }; /* there are PICs, too */
	struct {
		struct acpi_header header;
		uint64_t table[2];
	} __attribute__((packed)) xsdt = { .table = { 0 } };
	struct acpi_rsdp rsdp = { .signature = "RSD PTR ", .oem = "BOOT  ", .revision = 2, .length = sizeof(rsdp) };
	uint64_t at = ACPI_AT - sizeof(rsdp) - 12;

	madt.ioapic.type = 1;
	madt.ioapic.length = sizeof(madt.ioapic);
	madt.ioapic.id = MAX_CPUS;
	madt.ioapic.address = 0xfec00000;
	for (unsigned i = 0; i < cpus; i++) {
		madt.lapic[i].length = sizeof(madt.lapic[i]);
		madt.lapic[i].uid = madt.lapic[i].id = (uint8_t)i;
		madt.lapic[i].flags = 1; /* there */
	}
	fadt.x_dsdt = add_table(ram, &dsdt, "DSDT", 2, sizeof(dsdt));
	fadt.dsdt = (uint32_t)fadt.x_dsdt;
	xsdt.table[0] = add_table(ram, &fadt, "FACP", 3, sizeof(fadt));
	xsdt.table[1] =
		add_table(ram, &madt, "APIC", 1, offsetof(struct acpi_madt, lapic) + cpus * sizeof(madt.lapic[0]));
	rsdp.xsdt = add_table(ram, &xsdt, "XSDT", 1, sizeof(xsdt));
	rsdp.checksum = complement(&rsdp, 20);
	rsdp.checksum_all = complement(&rsdp, sizeof(rsdp));
	memcpy(ram + at, &rsdp, sizeof(rsdp));
	return at;
}

#endif
