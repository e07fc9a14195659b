// A server with two processes, which share its port by SO_REUSEPORT. Usage: prefork PORT
#include <sys/wait.h>
#include "victim.h"

static int serve(int port) {
    int fd = tcp_socket(), on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) give_up("SO_REUSEPORT");
    return tell("bind", bind_loopback(fd, port)) != 0 || tell("listen", listen(fd, 4)) != 0;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]), ready[2];
    if (pipe(ready) != 0) give_up("pipe");
    pid_t first = fork();
    if (first == 0) {
        char word = serve(port) ? 'x' : '.';
        if (write(ready[1], &word, 1) != 1) _exit(1);
        pause();
    }
    char word = 0;
    if (read(ready[0], &word, 1) != 1) give_up("read");
    pid_t second = fork();
    if (second == 0) _exit(serve(port));
    int status;
    waitpid(second, &status, 0);
    kill(first, SIGKILL);
    waitpid(first, NULL, 0);
    return word != '.' || status != 0;
}
