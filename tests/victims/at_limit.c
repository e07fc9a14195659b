// Takes every descriptor that it may have, and then binds, fails to bind and listens on those it
// has; closes two and does it again. Usage: at_limit PORT
#include "victim.h"

static void attempt(int free_one, int second, int port) {
    tell("bind", bind_loopback(second, port));
    tell("bind", bind_loopback(free_one, 0));
    tell("listen", listen(free_one, 4));
    tell("bind", bind_loopback(-1, port));
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int port = atoi(argv[1]), holder = tcp_socket(), second = tcp_socket();
    int first = tcp_socket(), third = tcp_socket(), last = third, one, count = 0;
    tell("bind", bind_loopback(holder, port));
    tell("listen", listen(holder, 4));
    while ((one = dup(holder)) >= 0) {
        last = one;
        count++;
    }
    printf("%d more, the last is %d, then %s\n", count, last, strerror(errno));
    attempt(first, second, port);
    close(last);
    close(last - 1);
    attempt(third, second, port);
    one = dup(holder);
    printf("%d %d\n", last - one, last - dup(holder));
    return 0;
}
