// Listens on a port of 127.0.0.1 and calls itself by one odd name after the other, until a signal
// comes: names with what ends a field or a line in /proc, or steers a terminal. Usage: renamed PORT
#include <sys/prctl.h>
#include "victim.h"

int main(int argc, char **argv) {
    static const char *const names[] = {
        "a) R 1 (b", "x\n1 (y) Z 1 1", "\"},\n{\"v\":1", "\x1b[2J\x1b[31m", ") X 0 0", "\xff\xfe", "",
    };
    if (argc != 2) return 2;
    int fd = tcp_socket();
    if (bind_loopback(fd, atoi(argv[1])) != 0 || listen(fd, 4) != 0) give_up("bind");
    puts("holding");
    fflush(stdout);
    for (size_t at = 0;; at++) prctl(PR_SET_NAME, names[at % (sizeof names / sizeof *names)]);
}
