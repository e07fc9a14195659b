// Addresses of other families than the internet's, and bindresvport, whose bind happens inside
// libc. Usage: families
#include <linux/netlink.h>
#include <stddef.h>
#include "victim.h"

int bindresvport(int, struct sockaddr_in *);

int main(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0an abstract name"};
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 17;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    tell("bind", bind(fd, (struct sockaddr *)&name, length));
    tell("listen", listen(fd, 4));
    struct sockaddr_nl group = {.nl_family = AF_NETLINK};
    fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    tell("bind", bind(fd, (struct sockaddr *)&group, sizeof group));
    struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_scope_id = 1};
    inet_pton(AF_INET6, "::1", &local.sin6_addr);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    tell("bind", bind(fd, (struct sockaddr *)&local, sizeof local));
    fd = tcp_socket();
    struct sockaddr_in reserved = {.sin_family = AF_INET};
    tell("bindresvport", bindresvport(fd, &reserved));
    printf("port %d\n", ntohs(reserved.sin_port));
    // Nothing is bound: the kernel chooses a port.
    fd = tcp_socket();
    tell("listen", listen(fd, 4));
    return 0;
}
