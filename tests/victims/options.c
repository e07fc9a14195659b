// Every option that decides a bind, and some that do not. Usage: options
#include <netinet/tcp.h>
#include "victim.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static void number(int fd, int level, int option, int value) {
    int result = setsockopt(fd, level, option, &value, sizeof value);
    printf("%d %d: %d\n", level, option, result == 0 ? 0 : errno);
}

int main(void) {
    int four = tcp_socket(), six = socket(AF_INET6, SOCK_STREAM, 0);
    number(four, SOL_SOCKET, SO_KEEPALIVE, 1);
    number(four, IPPROTO_TCP, TCP_NODELAY, 1);
    number(four, SOL_SOCKET, SO_RCVBUF, 65536);
    number(four, SOL_SOCKET, SO_REUSEADDR, 1);
    number(four, SOL_SOCKET, SO_REUSEPORT, 0);
    number(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    int result = setsockopt(four, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2);
    printf("device: %d\n", result == 0 ? 0 : errno);
    number(four, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
    number(four, IPPROTO_IP, IP_FREEBIND, 1);
    number(six, IPPROTO_IPV6, IPV6_FREEBIND, 1);
    number(four, IPPROTO_IP, IP_TRANSPARENT, 0);
    number(six, IPPROTO_IPV6, IPV6_TRANSPARENT, 0);
    number(four, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    number(four, IPPROTO_IP, IP_LOCAL_PORT_RANGE, 0);
    result = setsockopt(four, SOL_SOCKET, SO_REUSEADDR, (void *)8, sizeof(int));
    printf("bad pointer: %d\n", result == 0 ? 0 : errno);
    return 0;
}
