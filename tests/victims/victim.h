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
#include <sys/mman.h>
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

// Gives the handler of a signal an alternate stack of 8 KiB, which is what most programs give it.
static inline void handle_on_small_stack(int number, void (*handler)(int)) {
    enum { STACK = 8192, GUARD = 4096 };
    // The page below the stack is not there: an overflow is a crash, not a quiet overwrite.
    char *memory = (char *)mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, GUARD, PROT_NONE) != 0) give_up("mmap");
    stack_t stack = {.ss_sp = memory + GUARD, .ss_size = STACK};
    if (sigaltstack(&stack, NULL) != 0) give_up("sigaltstack");
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART};
    if (sigaction(number, &action, NULL) != 0) give_up("sigaction");
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
