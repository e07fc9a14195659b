// Becomes a program that something keeps from taking ports. Usage: sandbox KIND ... PROGRAM...
//
//   landlock PORT PROGRAM...     a Landlock sandbox in which TCP may be bound to PORT alone
//   refuse CALL ERRNO PROGRAM... a seccomp filter answers bind or listen with ERRNO
//   bpf DIRECTORY deny PROGRAM...          a BPF program on the cgroup DIRECTORY refuses bind
//   bpf DIRECTORY deny=ERRNO PROGRAM...    the same, with an error of its own
//   bpf DIRECTORY rewrite=PORT PROGRAM...  it puts another port in the place of the one asked for
//   userns PROGRAM...            root of a new user namespace, in the old network
// link: -lseccomp
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "victim.h"

// include/uapi/linux/landlock.h of Linux 6.7, which headers may be older than.
enum { LANDLOCK_BIND_TCP = 1, LANDLOCK_NET_PORT = 2 };

static void landlock(const char *port) {
    struct { uint64_t files, net; } ruleset = {0, LANDLOCK_BIND_TCP};
    struct { uint64_t allowed, port; } rule = {LANDLOCK_BIND_TCP, (uint64_t)atoi(port)};
    int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    if (fd < 0 || syscall(SYS_landlock_add_rule, fd, LANDLOCK_NET_PORT, &rule, 0) != 0
        || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || syscall(SYS_landlock_restrict_self, fd, 0) != 0) give_up("landlock");
    close(fd);
}

static void refuse(const char *call, int error) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int number = seccomp_syscall_resolve_name(call);
    if (filter == NULL || number == __NR_SCMP_ERROR
        || seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)error), number, 0) != 0
        || seccomp_load(filter) != 0) give_up("seccomp");
    seccomp_release(filter);
}

static void write_file(const char *directory, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) give_up(path);
    close(fd);
}

static struct bpf_insn set(int to, int value) {
    struct bpf_insn move = {BPF_ALU64 | BPF_MOV | BPF_K, (unsigned char)to & 15, 0, 0, value};
    return move;
}

// What becomes of a bind: 0 refuses, 1 allows (BPF_PROG_TYPE_CGROUP_SOCK_ADDR).
static void bpf(const char *directory, const char *what) {
    struct bpf_insn leave = {BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
    struct bpf_insn program[8];
    int length = 0;
    if (strncmp(what, "rewrite=", 8) == 0) {
        struct bpf_insn store = {BPF_STX | BPF_MEM | BPF_W, 1, 2,
                                 offsetof(struct bpf_sock_addr, user_port), 0};
        program[length++] = set(2, htons((unsigned short)atoi(what + 8)));
        program[length++] = store;
        program[length++] = set(0, 1);
    } else {
        if (strncmp(what, "deny=", 5) == 0) {
            struct bpf_insn call = {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_set_retval};
            program[length++] = set(1, -atoi(what + 5));
            program[length++] = call;
        }
        program[length++] = set(0, 0);
    }
    program[length++] = leave;
    static char log[4096];
    union bpf_attr load = {0};
    load.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
    load.expected_attach_type = BPF_CGROUP_INET4_BIND;
    load.insns = (uintptr_t)program;
    load.insn_cnt = (unsigned)length;
    load.license = (uintptr_t) "GPL";
    load.log_buf = (uintptr_t)log;
    load.log_size = sizeof log;
    load.log_level = 1;
    int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
    if (fd < 0) give_up(log);
    union bpf_attr attach = {0};
    attach.target_fd = (unsigned)open(directory, O_RDONLY | O_DIRECTORY);
    attach.attach_bpf_fd = (unsigned)fd;
    attach.attach_type = BPF_CGROUP_INET4_BIND;
    if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach) != 0) give_up("attach");
    close((int)attach.target_fd);
    close(fd);
    write_file(directory, "cgroup.procs", "0");
}

static void user_namespace(void) {
    char map[32];
    snprintf(map, sizeof map, "0 %d 1", (int)geteuid());
    if (unshare(CLONE_NEWUSER) != 0) give_up("unshare");
    write_file("/proc/self", "uid_map", map);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    char **program = argv + 2;
    if (strcmp(argv[1], "landlock") == 0) landlock(*program++);
    else if (strcmp(argv[1], "refuse") == 0) { refuse(program[0], atoi(program[1])); program += 2; }
    else if (strcmp(argv[1], "bpf") == 0) { bpf(program[0], program[1]); program += 2; }
    else if (strcmp(argv[1], "userns") == 0) user_namespace();
    else return 2;
    execv(program[0], program);
    give_up(program[0]);
    return 99;
}
