// A library whose constructor binds. Preloaded before ours it is initialised earlier or later as
// the loader likes; its bind must work either way. The port is in EARLY_PORT.
#include "victim.h"

__attribute__((constructor)) static void early(void) {
    const char *port = getenv("EARLY_PORT");
    if (port == NULL) return;
    int fd = tcp_socket(), second = tcp_socket();
    tell("early bind", bind_loopback(fd, atoi(port)));
    tell("early listen", listen(fd, 4));
    tell("early bind", bind_loopback(second, atoi(port)));
    close(fd);
    close(second);
}
