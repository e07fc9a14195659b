// A library whose destructor binds: preloaded, it is initialised before the program and ends after
// it. LATE_PORT is a port that is taken.
#include "victim.h"

__attribute__((destructor)) static void late(void) {
    const char *port = getenv("LATE_PORT");
    if (port == NULL) return;
    int fd = tcp_socket();
    tell("late", bind_loopback(fd, atoi(port)));
    tell("late", bind_loopback(fd, 0));
}
