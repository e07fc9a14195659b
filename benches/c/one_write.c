/* A hook that writes 300 bytes for each bind: the least that a line which lasts can cost. */
#include "hook.h"

int bind(int fd, const struct sockaddr *address, socklen_t length) {
    static char line[300] = {[299] = '\n'};
    int result = next_bind(fd, address, length);
    if (write(next_log, line, sizeof line) < 0)
        abort();
    return result;
}
