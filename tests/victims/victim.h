// What the victims share: they say what each call gave them, on standard output.
#ifndef VICTIM_H
#define VICTIM_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// Ends the program: the victim itself cannot go on.
static inline void give_up(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(99);
}

// An IPv4 address of the loopback network.
static inline struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {0};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((unsigned short)port);
    return address;
}

// A TCP socket of IPv4.
static inline int tcp_socket(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) give_up("socket");
    return fd;
}

// Binds `fd` to a port of 127.0.0.1.
static inline int bind_loopback(int fd, int port) {
    struct sockaddr_in address = loopback(port);
    return bind(fd, (struct sockaddr *)&address, sizeof address);
}

// Says what a call gave, and errno if it failed.
static inline int tell(const char *call, int result) {
    int error = errno;
    if (result == 0) printf("%s 0\n", call);
    else printf("%s %d %d\n", call, result, error);
    fflush(stdout);
    return result;
}

#endif
