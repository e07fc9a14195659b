/* A hook that only calls on: what the hook itself costs. */
#include "hook.h"

int bind(int fd, const struct sockaddr *address, socklen_t length) {
    return next_bind(fd, address, length);
}
