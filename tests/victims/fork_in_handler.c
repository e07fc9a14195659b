// A signal handler on an alternate stack of 8 KiB forks, and the child makes the first calls of its
// process there: whatever is found out for the first line must fit. Usage: fork_in_handler PORT
#include <sys/wait.h>
#include "victim.h"

static int port, holder, status = -1;

static void on_signal(int number) {
    (void)number;
    pid_t child = fork();
    if (child == 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int failed = bind_loopback(fd, port) == -1 && errno == EADDRINUSE;
        int worked = bind_loopback(fd, 0) == 0 && listen(fd, 4) == 0;
        _exit(failed && worked ? 7 : 8);
    }
    waitpid(child, &status, 0);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    port = atoi(argv[1]);
    holder = tcp_socket();
    if (bind_loopback(holder, port) != 0 || listen(holder, 4) != 0) give_up("bind");
    handle_on_small_stack(SIGUSR1, on_signal);
    raise(SIGUSR1);
    printf("status %#x\n", (unsigned)status);
    return 0;
}
