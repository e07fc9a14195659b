// A program that is started with descriptors 0, 1 and 2 closed: its sockets get these numbers, and
// what is written to 2 goes to a peer. Usage: no_streams PORT REPORT   starts itself that way
#include <fcntl.h>
#include "victim.h"

static void say_in(const char *report) {
    int file = open(report, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    // High, so that the low numbers are free, and where standard output writes to.
    int high = fcntl(file, F_DUPFD, 50);
    close(file);
    stdout = fdopen(high, "w");
    if (stdout == NULL) _exit(98);
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 4) return 2;
    int port = atoi(argv[1]);
    if (argc == 3) {
        for (int fd = 0; fd < 3; fd++) close(fd);
        execl("/proc/self/exe", argv[0], argv[1], argv[2], "closed", (char *)NULL);
        _exit(97);
    }
    say_in(argv[2]);
    int listener = tcp_socket(), accepted = tcp_socket(), client = tcp_socket();
    printf("sockets %d %d %d\n", listener, accepted, client);
    tell("bind", bind_loopback(listener, port));
    tell("listen", listen(listener, 4));
    struct sockaddr_in address = loopback(port);
    if (connect(client, (struct sockaddr *)&address, sizeof address) != 0) give_up("connect");
    close(accepted);
    accepted = accept(listener, NULL, NULL);
    // Number 2 is a connection now: whatever comes out on its other side was not ours to send.
    tell("bind", bind_loopback(tcp_socket(), port));
    tell("bind", bind_loopback(-1, port));
    char stray[512];
    printf("stray bytes %zd\n", recv(accepted, stray, sizeof stray, MSG_DONTWAIT));
    fflush(stdout);
    return 0;
}
