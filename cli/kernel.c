// SPDX-License-Identifier: MIT
/*
 * cli/kernel.c - what the kernel that is emulated is to be: profile, shape, VM types
 */
#include "cli/kernel.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/words.h"
#include "uapi/kvm.h"

#define IN_PLACE_PARAM "gmem_in_place_conversion"
#define CAP_X86_SMM    117

static int fail(int error, char why[KERNEL_WHY], const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail(int error, char why[KERNEL_WHY], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, KERNEL_WHY, fmt, ap);
	va_end(ap);
	return -error;
}

void kernel_profile_names(char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < core_profile_count && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "", core_profiles[i].name);
}

static int parse_vm_types(const struct core_profile *profile, const char *text, u64 *ret, char why[KERNEL_WHY])
{
	*ret = 0;
	while (text && *text) {
		size_t len = strcspn(text, ",");
		int type = words_vm_type_number(text, len);

		if (type < 0)
			return fail(EINVAL, why, "--vm-types: there is no VM type %.*s; known: default, sw-protected, sev, "
				    "sev-es, snp, tdx", (int)len, text);
		if (!(profile->known_vm_types & 1ULL << type))
			return fail(EINVAL, why, "--vm-types: %s does not know the VM type %s", profile->name,
				    words_vm_type((unsigned)type));
		*ret |= 1ULL << type;
		text += len + (text[len] == ',');
	}
	return 0;
}

static int parse_module_param(const struct core_profile *profile, const char *text, int *ret, char why[KERNEL_WHY])
{
	const char *value;

	*ret = -1;
	if (!text)
		return 0;
	value = strchr(text, '=');
	if (!value || (size_t)(value - text) != strlen(IN_PLACE_PARAM) || strncmp(text, IN_PLACE_PARAM, strlen(IN_PLACE_PARAM)))
		return fail(EINVAL, why, "--module-param: only %s=0 or =1 can be set", IN_PLACE_PARAM);
	if (!profile->in_place_param)
		return fail(EINVAL, why, "--module-param: kvm of %s has no parameter %s", profile->name, IN_PLACE_PARAM);
	if (strcmp(value, "=0") && strcmp(value, "=1"))
		return fail(EINVAL, why, "--module-param: %s is 0 or 1, not %s", IN_PLACE_PARAM, value + 1);
	*ret = value[1] == '1';
	return 0;
}

static bool parameter_is_yes(const char *path)
{
	char answer = 'N';
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, &answer, 1) != 1)
		answer = 'N';
	close(fd);
	return answer == 'Y' || answer == '1';
}

static int ask(int kvm, unsigned long cap)
{
	int value = ioctl(kvm, KVM_CHECK_EXTENSION, cap);

	return value < 0 ? 0 : value;
}

/* KVM checks userspace_addr as access_ok() does: below the top of what a process may ever have. */
static u64 host_hva_limit(void)
{
	unsigned a, b, c, d;
	bool la57 = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1U << 16);

	return (la57 ? 1ULL << 56 : 1ULL << 47) - RT_PAGE_SIZE;
}

/* Without two-dimensional paging KVM walks shadow tables, which reach as far as the architecture. */
static unsigned host_gpa_bits(bool tdp)
{
	unsigned a, b, c, d;

	if (!tdp || !__get_cpuid(0x80000008, &a, &b, &c, &d))
		return 52;
	return a & 0xff;
}

int kernel_host_shape(struct core_shape *shape)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	u64 types;
	bool tdp;

	if (kvm < 0)
		return -errno;
	/* Pre-faulting wants two-dimensional paging; older kernels tell only by their modules' parameters. */
	tdp = ask(kvm, KVM_CAP_PRE_FAULT_MEMORY) > 0 || parameter_is_yes("/sys/module/kvm_intel/parameters/ept") ||
	      parameter_is_yes("/sys/module/kvm_amd/parameters/npt");
	types = (u64)ask(kvm, KVM_CAP_VM_TYPES);
	*shape = (struct core_shape){
		.name = "host",
		.sw_protected = types & 1 << KVM_X86_SW_PROTECTED_VM,
		.private_mem = ask(kvm, KVM_CAP_MEMORY_ATTRIBUTES) || ask(kvm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES),
		.smm = ask(kvm, CAP_X86_SMM) > 0,
		.tdp = tdp,
		.gpa_bits = host_gpa_bits(tdp),
		.hva_limit = host_hva_limit(),
		.vm_types = types & ~1ULL,
		.cpus = (unsigned)ask(kvm, KVM_CAP_NR_VCPUS),
	};
	close(kvm);
	return 0;
}

void kernel_shape_text(const struct core_shape *shape, char *buf, size_t size)
{
	snprintf(buf, size, "sw_protected=%d,private_mem=%d,smm=%d,tdp=%d,gpa_bits=%u,hva_limit=%#llx,vm_types=%#llx,cpus=%u",
		 shape->sw_protected, shape->private_mem, shape->smm, shape->tdp, shape->gpa_bits,
		 (unsigned long long)shape->hva_limit, (unsigned long long)shape->vm_types, shape->cpus);
}

int kernel_init(struct kernel *kernel, const struct kernel_request *request, char why[KERNEL_WHY])
{
	const struct core_profile *profile;
	struct core_shape shape = core_shape_mainline;
	char names[KERNEL_WHY / 2 + 64];
	int ret;

	profile = request->profile ? core_profile_find(request->profile) : core_profile_newest();
	if (!profile) {
		kernel_profile_names(names, sizeof(names));
		return fail(EINVAL, why, "there is no profile %.40s; known: %s, host", request->profile, names);
	}
	if (request->shape && !strcmp(request->shape, "host")) {
		ret = kernel_host_shape(&shape);
		if (ret < 0)
			return fail(-ret, why, "--shape host asks the real /dev/kvm: %s", strerror(-ret));
	} else if (request->shape && strchr(request->shape, '=')) {
		if (!core_shape_parse(&shape, request->shape))
			return fail(EINVAL, why, "--shape: %.100s cannot be read (smm=0,tdp=1,...)", request->shape);
	} else if (request->shape && strcmp(request->shape, "mainline") != 0) {
		return fail(EINVAL, why, "--shape is mainline, host or FIELD=N,..., not %.40s", request->shape);
	}
	ret = parse_vm_types(profile, request->vm_types, &kernel->extra_types, why);
	if (ret == 0)
		ret = parse_module_param(profile, request->module_param, &kernel->in_place, why);
	if (ret < 0)
		return ret;
	ret = core_sys_init(&kernel->sys, profile, &shape, kernel->extra_types, kernel->in_place);
	if (ret < 0)
		return fail(-ret, why, "%s of shape %s cannot be configured so", profile->name, shape.name);
	return 0;
}
