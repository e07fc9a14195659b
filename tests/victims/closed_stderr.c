// A daemon without standard error: its first socket gets number 2, and what is written there goes
// to a peer or kills it with SIGPIPE. Usage: closed_stderr PORT
#include "victim.h"

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]);
    close(2);
    int fd = tcp_socket(), second = tcp_socket();
    printf("sockets %d %d\n", fd, second);
    tell("bind", bind_loopback(fd, port));
    tell("listen", listen(fd, 4));
    tell("bind", bind_loopback(second, port));
    struct sockaddr_in address = loopback(port);
    if (connect(second, (struct sockaddr *)&address, sizeof address) != 0) give_up("connect");
    // Number 2 is a connection now: whatever comes out on its other side was not ours to send.
    int accepted = accept(fd, NULL, NULL);
    close(fd);
    int moved = dup2(second, 2);
    close(second);
    tell("bind", bind_loopback(-1, port));
    tell("bind", bind_loopback(tcp_socket(), port));
    char stray[512];
    ssize_t got = recv(accepted, stray, sizeof stray, MSG_DONTWAIT);
    printf("moved to %d, stray bytes %zd\n", moved, got);
    return 0;
}
