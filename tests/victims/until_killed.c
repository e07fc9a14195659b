// Binds again and again, and writes a dot after each time, until it is killed. Usage: until_killed
#include "victim.h"

int main(void) {
    for (int i = 0; i < 10000; i++) {
        int fd = tcp_socket();
        if (bind_loopback(fd, 0) != 0 || write(1, ".", 1) != 1) return 1;
        close(fd);
    }
    pause();
    return 0;
}
