// Many processes, each with many attempts: most succeed, every tenth is a wrong call, and every
// 250th meets a port that is taken. Usage: storm PORT PROCESSES ATTEMPTS
#include <sys/wait.h>
#include "victim.h"

static int attempt(int port, int number) {
    if (number % 250 == 0) {
        int fd = tcp_socket();
        int refused = bind_loopback(fd, port) == -1 && errno == EADDRINUSE;
        close(fd);
        return refused;
    }
    if (number % 10 == 0) return bind_loopback(-1, port) == -1 && errno == EBADF;
    int fd = tcp_socket();
    int bound = bind_loopback(fd, 0) == 0;
    close(fd);
    return bound;
}

static int child(int port, int attempts) {
    for (int number = 1; number <= attempts; number++)
        if (!attempt(port, number)) return 1;
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int port = atoi(argv[1]), processes = atoi(argv[2]), attempts = atoi(argv[3]);
    for (int i = 0; i < processes; i++) {
        pid_t pid = fork();
        if (pid < 0) give_up("fork");
        if (pid == 0) _exit(child(port, attempts));
    }
    int status, bad = 0;
    while (wait(&status) > 0) bad += status != 0;
    printf("bad %d\n", bad);
    return bad != 0;
}
