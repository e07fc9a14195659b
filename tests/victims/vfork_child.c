// A vfork child shares its parent's memory and stack, and the parent stands still until the child
// is gone. Usage: vfork_child PORT
#include <sys/wait.h>
#include "victim.h"

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]), fd = tcp_socket(), second = tcp_socket(), third = tcp_socket();
    if (tell("bind", bind_loopback(fd, port)) != 0) return 1;
    if (tell("listen", listen(fd, 4)) != 0) return 1;
    pid_t child = vfork();
    if (child < 0) give_up("vfork");
    if (child == 0) {
        int failed = bind_loopback(second, port) == -1 && errno == EADDRINUSE;
        int worked = bind_loopback(third, 0) == 0;
        _exit(failed && worked ? 7 : 8);
    }
    int status;
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    int fourth = tcp_socket();
    tell("bind", bind_loopback(fourth, port));
    tell("bind", bind_loopback(fourth, 0));
    return 0;
}
