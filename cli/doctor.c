// SPDX-License-Identifier: MIT
/*
 * cli/doctor.c - gmem doctor: whether this host is fit for gmem
 *
 * A check says what was found, and what it means where that is not good.
 * "bad" makes the host unfit, "note" costs something, "info" decides nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/program.h"
#include "cli/real_cpu.h"
#include "host/host.h"
#include "uapi/kvm.h"

#define MAP_COUNT_DEFAULT 65530
#define CHECKS_MAX	  32

struct doctor_options {
	bool json;
};

static const struct option options[] = {
	{ OPTION_FLAG, "json", offsetof(struct doctor_options, json), NULL, "print JSON" },
	{ .kind = OPTION_END }
};

enum level { OK, INFO, NOTE, BAD };

static const char *const level_names[] = { "ok", "info", "note", "bad" };
static const char *const level_colours[] = { "\033[32m", "\033[36m", "\033[33m", "\033[31m" };

struct check {
	const char *name;
	enum level level;
	char text[400];
};

struct findings {
	struct check checks[CHECKS_MAX];
	unsigned count;
};

static void found(struct findings *f, const char *name, enum level level, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void found(struct findings *f, const char *name, enum level level, const char *fmt, ...)
{
	struct check *check = &f->checks[f->count];
	va_list ap;

	if (f->count == CHECKS_MAX)
		return;
	f->count++;
	check->name = name;
	check->level = level;
	va_start(ap, fmt);
	vsnprintf(check->text, sizeof(check->text), fmt, ap);
	va_end(ap);
}

/* First line of a small file; false when it cannot be read. */
static bool read_line(const char *path, char *buf, size_t size)
{
	FILE *file = fopen(path, "re");
	bool got = file && fgets(buf, (int)size, file);

	if (file)
		fclose(file);
	if (got)
		buf[strcspn(buf, "\n")] = '\0';
	return got;
}

static void check_engines(struct findings *f, const struct host_caps *caps, int init_error)
{
	for (const char *const *name = host_engine_names(); *name; name++) {
		bool runs = host_engine_runs(*name);
		bool used = !init_error && !strcmp(*name, caps->engine);

		found(f, "engine", runs ? OK : INFO, "%s %s here%s", *name, runs ? "can run" : "cannot run",
		      used ? ", and is the one in use" : "");
	}
	if (init_error)
		found(f, "engine in use", BAD, "none can run: %s", strerror(-init_error));
	else
		found(f, "engine in use", OK, "%s: %s", caps->engine, caps->why);
}

static void check_memory(struct findings *f, const struct host_caps *caps)
{
	char line[64];

	found(f, "memfd", caps->memfd ? OK : BAD, caps->memfd ? "memfd_create(2) works" :
	      "memfd_create(2) fails: guest memory has nowhere to live; a seccomp filter, or a kernel without it");
	found(f, "userfaultfd", caps->userfaultfd ? OK : NOTE, caps->userfaultfd ? "allowed, with SIGBUS mode" :
	      "not available (seccomp filter, or not compiled in): engine dp cannot run");
	found(f, "poison markers", caps->poison ? OK : NOTE, caps->poison ? "UFFDIO_POISON works on shared memory" :
	      "no UFFDIO_POISON for shared memory (Linux 6.6): engine dp cannot run");
	found(f, "guard markers", caps->guard ? OK : NOTE, caps->guard ? "MADV_GUARD_INSTALL works on shared memory" :
	      "no MADV_GUARD_INSTALL for shared memory (Linux 6.15): engine eg cannot run");
	found(f, "memory failure", INFO, caps->memory_failure ?
	      "the kernel reports poison as a hardware error; gmem corrects the signal's code" :
	      "not compiled in: poison raises the same signal as guest_memfd");
	found(f, "vm.max_map_count", caps->max_map_count >= MAP_COUNT_DEFAULT ? OK : NOTE, "%" PRIu64 "%s",
	      caps->max_map_count, caps->max_map_count >= MAP_COUNT_DEFAULT ? "" :
	      ": less than the usual 65530; scattered conversions have fewer mappings to spend");
	if (!read_line("/proc/sys/vm/overcommit_memory", line, sizeof(line)))
		found(f, "vm.overcommit_memory", INFO, "cannot be told");
	else
		found(f, "vm.overcommit_memory", line[0] == '2' ? NOTE : OK, "%s%s", line, line[0] == '2' ?
		      ": strict accounting may refuse guest memory that guest_memfd would get" : "");
}

static void check_limits(struct findings *f)
{
	struct rlimit limit;
	char line[64];
	int fd, error;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		found(f, "RLIMIT_FSIZE", NOTE, "%llu: limits memfds, not guest_memfd; gmem sizes its files around it",
		      (unsigned long long)limit.rlim_cur);
	else
		found(f, "RLIMIT_FSIZE", OK, "unlimited");

	fd = inotify_init1(IN_CLOEXEC);
	error = errno;
	if (!read_line("/proc/sys/fs/inotify/max_user_instances", line, sizeof(line)))
		strcpy(line, "unknown");
	if (fd >= 0)
		found(f, "inotify", OK, "works; fs.inotify.max_user_instances is %s, one is used per process", line);
	else
		found(f, "inotify", NOTE, "%s (fs.inotify.max_user_instances is %s): the end of files is found late",
		      strerror(error), line);
	if (fd >= 0)
		close(fd);
}

/* The test by which a file's last user is found: cli/keep.c. */
static void check_lease(struct findings *f)
{
	int memfd = memfd_create("gmem-doctor", MFD_CLOEXEC), fd;
	char path[40];

	if (memfd < 0) {
		found(f, "leases", INFO, "cannot be told without a memfd: %s", strerror(errno));
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		found(f, "/proc", BAD, "/proc/self/fd cannot be used (%s): mount /proc", strerror(errno));
	else
		found(f, "/proc", OK, "mounted, and descriptors can be opened again");
	if (fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0)
		found(f, "leases", OK, "F_SETLEASE tells whether a file is in use");
	else if (fd >= 0)
		found(f, "leases", NOTE, "F_SETLEASE fails (%s; fs.leases-enable?): files are kept longer than needed",
		      strerror(errno));
	if (fd >= 0)
		close(fd);
	close(memfd);
}

static void check_seccomp(struct findings *f)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	int mode = -1;

	while (file && mode < 0 && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Seccomp: %d", &mode) != 1)
			mode = -1;
	}
	if (file)
		fclose(file);
	if (mode < 0)
		found(f, "seccomp", INFO, "cannot be told");
	else
		found(f, "seccomp", mode ? NOTE : OK, mode ? "a filter is in force (a container?): what it forbids counts "
		      "as not available" : "no filter in force");
}

static bool selinux_enforces(void)
{
	char line[8];

	return read_line("/sys/fs/selinux/enforce", line, sizeof(line)) && line[0] == '1';
}

/* The real guest_memfd: gmem does not need it, libraries and comparisons use it. */
static void check_real_gmem(struct findings *f, int kvm)
{
	struct kvm_create_guest_memfd args = { .size = RT_PAGE_SIZE };
	int vm = ioctl(kvm, KVM_CREATE_VM, 0UL), flags, fd;

	if (vm < 0) {
		found(f, "real VMs", NOTE, "KVM_CREATE_VM fails: %s", strerror(errno));
		return;
	}
	if (ioctl(vm, KVM_CHECK_EXTENSION, (unsigned long)KVM_CAP_GUEST_MEMFD) <= 0) {
		found(f, "real guest_memfd", INFO, "not for default VMs of this kernel");
		close(vm);
		return;
	}
	flags = ioctl(vm, KVM_CHECK_EXTENSION, (unsigned long)KVM_CAP_GUEST_MEMFD_FLAGS);
	args.flags = flags > 0 ? (u64)flags & (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED) : 0;
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	if (fd >= 0)
		found(f, "real guest_memfd", OK, "works");
	else if (errno == EACCES && selinux_enforces())
		found(f, "real guest_memfd", NOTE,
		      "permission denied by SELinux: the policy does not know the anonymous inode [kvm-gmem]; update the "
		      "package selinux-policy (rule: allow ... anon_inode create) rather than switching SELinux off");
	else
		found(f, "real guest_memfd", NOTE, "KVM_CREATE_GUEST_MEMFD fails: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	close(vm);
}

static void check_kvm(struct findings *f)
{
	struct stat st;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm >= 0) {
		found(f, "/dev/kvm", OK, "can be opened; gmem run does not need it, --profile host and --shape host do");
		check_real_gmem(f, kvm);
		close(kvm);
		return;
	}
	if (errno == ENOENT)
		found(f, "/dev/kvm", INFO, "not there; gmem run does not need it");
	else if (errno == EACCES && stat("/dev/kvm", &st) == 0 && access("/dev/kvm", R_OK | W_OK) == 0)
		found(f, "/dev/kvm", INFO, "its permissions allow us, but opening it is denied: SELinux or another policy");
	else if (errno == EACCES && stat("/dev/kvm", &st) == 0)
		found(f, "/dev/kvm", INFO, "permission denied: it belongs to uid %u, gid %u, mode %o; join that group "
		      "(often kvm)", st.st_uid, st.st_gid, st.st_mode & 07777);
	else
		found(f, "/dev/kvm", INFO, "cannot be opened: %s; gmem run does not need it", strerror(errno));
}

static void check_cpu(struct findings *f)
{
	char why[REAL_CPU_WHY];

	if (real_cpu_fit(why))
		found(f, "CPU for guests", OK, "the software vCPU; the real KVM is fit, too, and faster: gmem run --cpu kvm");
	else
		found(f, "CPU for guests", OK, "the software vCPU; the real KVM is not fit: %s", why);
}

static void check_preload(struct findings *f)
{
	char path[PATH_MAX];

	if (program_preload_object(NULL, path) == 0)
		found(f, "preload object", OK, "%.300s", path);
	else
		found(f, "preload object", BAD, "not found beside the command, nor in ../lib/gmem: install gmem anew");
}

static void print_json(const struct findings *f, bool fit)
{
	struct json json = { 0 };

	json_open(&json, NULL, '{');
	json_bool(&json, "fit", fit);
	json_open(&json, "checks", '[');
	for (unsigned i = 0; i < f->count; i++) {
		json_open(&json, NULL, '{');
		json_text(&json, "check", f->checks[i].name);
		json_text(&json, "level", level_names[f->checks[i].level]);
		json_text(&json, "text", f->checks[i].text);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_close(&json, '}');
}

static void print_text(const struct findings *f, bool fit)
{
	bool colour = colour_stdout();

	for (unsigned i = 0; i < f->count; i++) {
		const struct check *check = &f->checks[i];

		printf("%s%-4s%s  %-20s  %s\n", colour ? level_colours[check->level] : "", level_names[check->level],
		       colour ? "\033[0m" : "", check->name, check->text);
	}
	printf("This host is %s for gmem.\n", fit ? "fit" : "not fit");
}

static int doctor(const struct verb *verb, int argc, char **argv)
{
	static struct findings findings;
	struct doctor_options o = { 0 };
	int status, error, first = options_parse(&verb->usage, argc, argv, &o, &status);
	bool fit = true;

	if (first < 0)
		return status;
	if (first < argc)
		return options_error(&verb->usage, "what is %s?", argv[first]);
	error = host_init(NULL);
	if (host_probe_error()) {
		complain("cannot find out what this host can do: %s", strerror(-host_probe_error()));
		return EXIT_ANSWER_NO;
	}
	check_engines(&findings, host_caps(), error);
	check_memory(&findings, host_caps());
	check_limits(&findings);
	check_lease(&findings);
	check_seccomp(&findings);
	check_kvm(&findings);
	check_cpu(&findings);
	check_preload(&findings);
	for (unsigned i = 0; i < findings.count; i++)
		fit = fit && findings.checks[i].level != BAD;
	if (o.json)
		print_json(&findings, fit);
	else
		print_text(&findings, fit);
	return finish_output(fit ? 0 : EXIT_ANSWER_NO);
}

const struct verb verb_doctor = {
	.usage = { .name = "doctor",
		   .summary = "Tell whether this host is fit, and what will be used",
		   .synopsis = "[--json]",
		   .options = options,
		   .error = EXIT_USAGE },
	.main = doctor,
};
