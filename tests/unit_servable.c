// SPDX-License-Identifier: MIT
/*
 * tests/unit_servable.c - which programs preload serves (overlay/servable.c, rules 1 to 3)
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "overlay/servable.h"
#include "tests/tap.h"

/* An image in memory: header, program headers, then whatever a case puts behind. */
struct blob {
	Elf64_Ehdr head;
	Elf64_Phdr phdr[3];
	Elf64_Dyn dyn[4];
	char strings[64];
};

struct bytes {
	const void *data;
	size_t size;
};

static char dir[] = "/tmp/gmem-servable-XXXXXX";

static long read_bytes(void *ctx, void *buf, size_t len, u64 off)
{
	const struct bytes *bytes = ctx;

	if (off >= bytes->size)
		return 0;
	if (len > bytes->size - off)
		len = bytes->size - off;
	memcpy(buf, (const char *)bytes->data + off, len);
	return (long)len;
}

static int judge(const void *data, size_t size, struct servable *ret)
{
	struct bytes bytes = { data, size };

	return servable_image(read_bytes, &bytes, ret);
}

static int judge_text(const char *text, struct servable *ret)
{
	return judge(text, strlen(text), ret);
}

/* A dynamic x86-64 program that needs libasan, as far as its headers say. */
static struct blob dynamic_program(void)
{
	struct blob blob = { 0 };

	memcpy(blob.head.e_ident, ELFMAG, SELFMAG);
	blob.head.e_ident[EI_CLASS] = ELFCLASS64;
	blob.head.e_ident[EI_DATA] = ELFDATA2LSB;
	blob.head.e_type = ET_DYN;
	blob.head.e_machine = EM_X86_64;
	blob.head.e_phoff = offsetof(struct blob, phdr);
	blob.head.e_phentsize = sizeof(Elf64_Phdr);
	blob.head.e_phnum = 3;
	blob.phdr[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_vaddr = 0x10000, .p_filesz = sizeof(blob) };
	blob.phdr[1] = (Elf64_Phdr){ .p_type = PT_INTERP };
	blob.phdr[2] = (Elf64_Phdr){ .p_type = PT_DYNAMIC,
				     .p_offset = offsetof(struct blob, dyn),
				     .p_filesz = sizeof(blob.dyn) };
	strcpy(blob.strings, "xlibc.so.6");
	strcpy(blob.strings + 16, "libasan.so.8");
	blob.dyn[0] = (Elf64_Dyn){ .d_tag = DT_NEEDED, .d_un.d_val = 1 };
	blob.dyn[1] = (Elf64_Dyn){ .d_tag = DT_NEEDED, .d_un.d_val = 16 };
	blob.dyn[2] = (Elf64_Dyn){ .d_tag = DT_STRTAB, .d_un.d_ptr = 0x10000 + offsetof(struct blob, strings) };
	return blob;
}

static void test_elf(void)
{
	struct blob blob = dynamic_program();
	struct servable ret;

	is(judge(&blob, sizeof(blob), &ret), 0, "a dynamic program is served");
	ok(!strcmp(ret.asan, "libasan.so.8"), "the ASan runtime that it needs is found (%s)", ret.asan);

	strcpy(blob.strings + 16, "libm.so.6");
	judge(&blob, sizeof(blob), &ret);
	ok(!ret.asan[0], "other libraries are no ASan runtime");

	blob.dyn[2].d_un.d_ptr = 0x10;
	is(judge(&blob, sizeof(blob), &ret), 0, "a string table in no segment does no harm");

	blob.phdr[1].p_type = PT_NOTE;
	is(judge(&blob, sizeof(blob), &ret), -EACCES, "a program without PT_INTERP is refused");
	ok(ret.reason && strstr(ret.reason, "PT_INTERP"), "... and the reason says so");

	/* With cgo: a loader, and the note of Go's linker behind another. */
	blob = dynamic_program();
	blob.phdr[0] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = offsetof(struct blob, strings), .p_filesz = 40 };
	memcpy(blob.strings, "\4\0\0\0\3\0\0\0\1\0\0\0GNU\0abc\0\4\0\0\0\4\0\0\0\4\0\0\0Go\0\0id!", 40);
	is(judge(&blob, sizeof(blob), &ret), -EACCES, "a Go program with a loader is refused");
	ok(ret.reason && strstr(ret.reason, "Go"), "... and the reason says so");
	blob.strings[20 + 8] = 1;
	is(judge(&blob, sizeof(blob), &ret), 0, "another note of Go's is none");
	memset(blob.strings, 0xff, 40);
	is(judge(&blob, sizeof(blob), &ret), 0, "notes of no sense do no harm");

	blob = dynamic_program();
	blob.head.e_ident[EI_CLASS] = ELFCLASS32;
	is(judge(&blob, sizeof(blob), &ret), -EACCES, "a 32-bit program is refused");
	ok(ret.reason && strstr(ret.reason, "32-bit"), "... and the reason says so");

	blob = dynamic_program();
	blob.head.e_machine = EM_AARCH64;
	is(judge(&blob, sizeof(blob), &ret), -EACCES, "another machine's program is refused");
	ok(ret.reason != NULL, "... with a reason");

	blob = dynamic_program();
	blob.head.e_type = ET_REL;
	is(judge(&blob, sizeof(blob), &ret), -ENOEXEC, "an object file is what the kernel refuses");
	ok(!ret.reason, "... and gmem gives no reason of its own");
}

static void test_elf_damage(void)
{
	struct blob blob = dynamic_program();
	struct servable ret;
	unsigned bad = 0;

	/* Cut off anywhere: never served by what lies beyond the end. */
	for (size_t size = 0; size < offsetof(struct blob, dyn); size++)
		bad += judge(&blob, size, &ret) == 0;
	is(bad, 0, "a program whose headers are cut off is not served");

	blob.head.e_phnum = 0xffff;
	is(judge(&blob, sizeof(blob), &ret), -ENOEXEC, "more program headers than the kernel takes");
	blob = dynamic_program();
	blob.head.e_phentsize = 32;
	is(judge(&blob, sizeof(blob), &ret), -ENOEXEC, "program headers of another size");
	blob = dynamic_program();
	blob.head.e_phoff = ~0ULL - 8;
	is(judge(&blob, sizeof(blob), &ret), -ENOEXEC, "program headers at the end of the number space");
}

static void test_script(void)
{
	char line[600];
	struct servable ret;

	is(judge_text("#!/bin/sh\necho", &ret), 1, "a script is one");
	ok(!strcmp(ret.interp, "/bin/sh"), "... and names its interpreter (%s)", ret.interp);
	judge_text("#! \t/usr/bin/env  python3 -u\n", &ret);
	ok(!strcmp(ret.interp, "/usr/bin/env"), "blanks and arguments are no part of it (%s)", ret.interp);
	is(judge_text("#!/bin/true", &ret), 1, "the line need not end");
	ok(!strcmp(ret.interp, "/bin/true"), "... and the name is whole (%s)", ret.interp);
	is(judge_text("#!\n", &ret), -ENOEXEC, "a script without interpreter");
	is(judge_text("#!  \t \n/bin/sh\n", &ret), -ENOEXEC, "the second line is not looked at");
	is(judge_text("echo hello\n", &ret), -ENOEXEC, "text without #! is none");
	is(judge_text("", &ret), -ENOEXEC, "an empty file is nothing");

	memset(line, 'x', sizeof(line));
	memcpy(line, "#!/", 3);
	line[sizeof(line) - 1] = '\0';
	is(judge_text(line, &ret), -ENOEXEC, "a name that goes on beyond 256 bytes");
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		perror(name);
	fchmod(fd, mode);
	close(fd);
}

static void copy_program(const char *from, const char *to)
{
	char buf[65536];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0) {
		if (write(out, buf, (size_t)n) != n)
			break;
	}
	close(in);
	close(out);
}

static void test_path(void)
{
	struct servable ret;
	char line[64];
	int fd;

	is(servable_path(AT_FDCWD, "/proc/self/exe", 0, &ret), 0, "this program is served");
	is(servable_path(AT_FDCWD, "none", 0, &ret), -ENOENT, "one that is not there");
	ok(!ret.reason, "... is the kernel's to refuse");
	is(servable_path(AT_FDCWD, "/", 0, &ret), -EACCES, "a directory");
	write_file("plain", "#!/bin/sh\n", 0644);
	is(servable_path(AT_FDCWD, "plain", 0, &ret), -EACCES, "a file that nobody may execute");
	ok(!ret.reason, "... is the kernel's to refuse");
	mkfifo("fifo", 0755);
	is(servable_path(AT_FDCWD, "fifo", 0, &ret), -EACCES, "a FIFO is not waited for");
	is(servable_path(AT_FDCWD, "plain", 0x4000, &ret), -EINVAL, "flags that execveat does not know");

	fd = open("/proc/self/exe", O_RDONLY);
	is(servable_path(fd, "", AT_EMPTY_PATH, &ret), 0, "by descriptor alone");
	close(fd);
	fd = open("/proc/self/exe", O_PATH);
	is(servable_path(fd, "", AT_EMPTY_PATH, &ret), 0, "by a descriptor opened with O_PATH");
	close(fd);
	symlink("/proc/self/exe", "link");
	is(servable_path(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, &ret), -ELOOP, "a link that must not be followed");

	copy_program("/proc/self/exe", "program");
	snprintf(line, sizeof(line), "#!%s/program\n", dir);
	write_file("level1", line, 0755);
	for (int i = 2; i <= 6; i++) {
		char name[24];

		snprintf(name, sizeof(name), "level%d", i);
		snprintf(line, sizeof(line), "#!%s/level%d\n", dir, i - 1);
		write_file(name, line, 0755);
	}
	is(servable_path(AT_FDCWD, "level1", 0, &ret), 0, "a script's interpreter is judged");
	ok(strstr(ret.interp, "/program") != NULL, "... and named (%s)", ret.interp);
	is(servable_path(AT_FDCWD, "level5", 0, &ret), 0, "five scripts deep is what the kernel follows");
	is(servable_path(AT_FDCWD, "level6", 0, &ret), -ELOOP, "six is too many");
	write_file("lost", "#!/none/such\n", 0755);
	is(servable_path(AT_FDCWD, "lost", 0, &ret), -ENOENT, "an interpreter that is not there");
}

/* The verdict that a child comes to after prepare(); -1 when prepare cannot. */
static int verdict_in_child(bool (*prepare)(void), const char *path, bool *reason)
{
	int pipes[2], answer[2] = { -1, 0 };
	pid_t pid;

	if (pipe(pipes) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		struct servable ret;

		if (!prepare || prepare()) {
			answer[0] = -servable_path(AT_FDCWD, path, 0, &ret);
			answer[1] = ret.reason != NULL;
		}
		_exit(write(pipes[1], answer, sizeof(answer)) != sizeof(answer));
	}
	close(pipes[1]);
	if (read(pipes[0], answer, sizeof(answer)) != sizeof(answer))
		answer[0] = -1;
	close(pipes[0]);
	waitpid(pid, NULL, 0);
	*reason = answer[1];
	return answer[0];
}

static bool become_other(void)
{
	return setgid(65534) == 0 && setuid(65534) == 0;
}

static bool become_other_effective(void)
{
	return seteuid(65534) == 0;
}

static bool no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static void test_privileges(void)
{
	/* VFS_CAP_REVISION_2 with CAP_NET_RAW permitted, effective. */
	static const unsigned char caps[20] = { 1, 0, 0, 2, 0, 0x20 };
	bool reason;

	if (getuid() != 0) {
		skip(12, "needs root to make set-id files");
		return;
	}
	chmod(dir, 0755);
	chown("program", 65534, 0);
	chmod("program", 04755);
	is(verdict_in_child(NULL, "program", &reason), EACCES, "a set-user-id program is refused");
	ok(reason, "... with a reason");
	is(verdict_in_child(become_other, "program", &reason), 0, "but not for its owner: nothing changes for him");
	is(verdict_in_child(no_new_privs, "program", &reason), 0, "nor under no_new_privs");
	is(verdict_in_child(NULL, "level1", &reason), EACCES, "a script whose interpreter is set-user-id is refused");

	chown("program", 0, 65534);
	chmod("program", 02755);
	is(verdict_in_child(NULL, "program", &reason), EACCES, "a set-group-id program is refused");
	chmod("program", 02745);
	is(verdict_in_child(NULL, "program", &reason), 0, "set-group-id without execute means something else");

	chown("program", 0, 0);
	chmod("program", 0755);
	chown("level1", 65534, 65534);
	chmod("level1", 06755);
	is(verdict_in_child(NULL, "level1", &reason), 0, "a script's own set-id bits count for nothing");
	is(verdict_in_child(become_other_effective, "program", &reason), EACCES, "differing ids are refused");

	chmod("program", 0111);
	is(verdict_in_child(become_other, "program", &reason), EACCES, "what cannot be read is refused");
	chmod("program", 0755);
	if (setxattr("program", "security.capability", caps, sizeof(caps), 0) != 0) {
		skip(2, "no file capabilities on this file system");
		return;
	}
	is(verdict_in_child(become_other, "program", &reason), EACCES, "file capabilities are refused");
	is(verdict_in_child(NULL, "program", &reason), 0, "but not for root, who has them");
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir) || chdir(dir) != 0)
		skip_all("no temporary directory");
	test_elf();
	test_elf_damage();
	test_script();
	test_path();
	test_privileges();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		diag("%s was left behind", dir);
	return done_testing();
}
