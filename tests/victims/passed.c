// A service manager that passes two listening sockets as descriptors 3 and 4 (sd_listen_fds(3)),
// and a service that takes them. Usage:
//   passed pass PORT PROGRAM [ARGUMENT]...   becomes PROGRAM
//   passed take
#include <fcntl.h>
#include "victim.h"

static void pass(int port, char **program) {
    int first = tcp_socket(), second = tcp_socket();
    if (bind_loopback(first, port) != 0 || listen(first, 4) != 0) give_up("bind");
    if (bind_loopback(second, 0) != 0 || listen(second, 4) != 0) give_up("bind");
    if (first != 3 || second != 4) give_up("the numbers are taken");
    char pid[16];
    snprintf(pid, sizeof pid, "%d", getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    execv(program[0], program);
    give_up(program[0]);
}

static const char *state(int fd) {
    int listens = 0;
    socklen_t length = sizeof listens;
    if (fcntl(fd, F_GETFD) == -1) return "is free";
    if (fcntl(fd, F_GETFD) != 0) return "ends with exec";
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0) return "is no socket";
    return listens ? "listens" : "does not listen";
}

static int take(void) {
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (pid == NULL || atoi(pid) != getpid() || count == NULL || atoi(count) != 2) return 3;
    printf("3 %s, 4 %s, 5 %s\n", state(3), state(4), state(5));
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    if (getsockname(3, (struct sockaddr *)&address, &length) != 0) give_up("getsockname");
    int fd = tcp_socket();
    tell("bind", bind_loopback(fd, ntohs(address.sin_port)));
    tell("bind", bind_loopback(fd, 0));
    close(fd);
    printf("5 %s\n", state(5));
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "take") == 0) return take();
    if (argc < 4) return 2;
    pass(atoi(argv[2]), argv + 3);
}
