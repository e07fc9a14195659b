// A server that goes away and leaves a connection behind on its port. It sets SO_REUSEADDR only
// when told to, or SO_REUSEPORT. Usage: remnant PORT (time_wait|fin_wait2|worker) [reuse|reuseport]
//
//   time_wait   closes the connection first, and is gone when the client has closed too
//   fin_wait2   closes the connection and is gone, while the client keeps its side open
//   worker      closes the listener and ends; a child keeps the connection
#include <sys/prctl.h>
#include "victim.h"

// The other side's end of the connection: a read gives nothing more.
static void wait_for_end(int client) {
    char byte;
    while (read(client, &byte, 1) > 0) {}
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int listener = tcp_socket(), one = 1;
    if (argc > 3) {
        int option = strcmp(argv[3], "reuseport") == 0 ? SO_REUSEPORT : SO_REUSEADDR;
        setsockopt(listener, SOL_SOCKET, option, &one, sizeof one);
    }
    if (tell("bind", bind_loopback(listener, atoi(argv[1]))) != 0) return 1;
    if (tell("listen", listen(listener, 4)) != 0) return 1;
    int client = accept(listener, NULL, NULL);
    if (client < 0) give_up("accept");
    if (write(client, "hello\n", 6) != 6) give_up("write");
    if (strcmp(argv[2], "worker") == 0) {
        pid_t worker = fork();
        if (worker < 0) give_up("fork");
        if (worker == 0) {
            close(listener);
            printf("worker %d\n", (int)getpid());
            fflush(stdout);
            wait_for_end(client);
            _exit(0);
        }
        return 0;
    }
    shutdown(client, SHUT_WR);
    if (strcmp(argv[2], "time_wait") == 0) wait_for_end(client);
    return 0;
}
