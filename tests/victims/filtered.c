// Under a seccomp filter that kills the process at the first system call which is not on a list,
// as `SystemCallFilter=@system-service` does. Usage:
//   filtered LIST PORT            installs the filter, then binds, fails to bind, and listens
//   filtered LIST exec PROGRAM... installs the filter and becomes PROGRAM
// link: -lseccomp
#include <seccomp.h>
#include "victim.h"

static void install(const char *list) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    FILE *names = fopen(list, "r");
    if (filter == NULL || names == NULL) give_up(list);
    char line[128];
    while (fgets(line, sizeof line, names) != NULL) {
        line[strcspn(line, " \n")] = 0;
        int number = seccomp_syscall_resolve_name(line);
        // Names of calls that this machine does not have.
        if (line[0] == '#' || line[0] == 0 || number == __NR_SCMP_ERROR) continue;
        // Limits may be asked for, and not changed.
        struct scmp_arg_cmp asked = SCMP_A2(SCMP_CMP_EQ, 0);
        int is_limit = strcmp(line, "prlimit64") == 0;
        int result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, (unsigned)is_limit, &asked);
        if (result != 0 && result != -EDOM && result != -EEXIST) give_up(line);
    }
    fclose(names);
    if (seccomp_load(filter) != 0) give_up("seccomp_load");
    seccomp_release(filter);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    install(argv[1]);
    if (strcmp(argv[2], "exec") == 0) {
        execv(argv[3], argv + 3);
        give_up(argv[3]);
    }
    int port = atoi(argv[2]), fd = tcp_socket(), second = tcp_socket();
    tell("bind", bind_loopback(fd, port));
    tell("listen", listen(fd, 4));
    tell("bind", bind_loopback(second, port));
    tell("bind", bind_loopback(fd, port));
    tell("bind", bind_loopback(-1, port));
    return 0;
}
