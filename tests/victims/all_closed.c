// A daemon that closes every descriptor and opens its own files, which get the numbers that others
// had. Whatever was kept open across this must not be written to.
// Usage: all_closed PORT DIRECTORY (early|late)   late: with a bind before
#include <fcntl.h>
#include "victim.h"

#define FILES 40

// glibc has closefrom since 2.34, and its name is not in every header.
static void close_all(void) {
    for (int fd = 3; fd < 4096; fd++) close(fd);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int port = atoi(argv[1]);
    if (strcmp(argv[3], "early") != 0) tell("bind", bind_loopback(tcp_socket(), 0));
#if defined __GLIBC__ && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
    closefrom(3);
#endif
    close_all();
    int files[FILES];
    for (int i = 0; i < FILES; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/own-%d", argv[2], i);
        files[i] = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
        if (files[i] != i + 3) printf("file %d is descriptor %d\n", i, files[i]);
        if (write(files[i], "own\n", 4) != 4) give_up("write");
        // High numbers too: that is where others move theirs.
        int high = fcntl(files[i], F_DUPFD, 200 + i * 19);
        if (high < 0) give_up("dup");
    }
    int fd = tcp_socket(), second = tcp_socket();
    tell("bind", bind_loopback(fd, port));
    tell("listen", listen(fd, 4));
    tell("bind", bind_loopback(second, port));
    tell("bind", bind_loopback(-1, port));
    printf("socket %d\n", second);
    return 0;
}
