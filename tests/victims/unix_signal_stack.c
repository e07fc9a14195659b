// A signal handler on an alternate stack of 8 KiB binds Unix sockets to the given paths.
// Usage: unix_signal_stack PATH...
#include "victim.h"

static const char *volatile path;
static volatile int result, error;

static void on_signal(int number) {
    (void)number;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    result = bind(fd, (struct sockaddr *)&address, sizeof address);
    error = errno;
    close(fd);
}

int main(int argc, char **argv) {
    handle_on_small_stack(SIGUSR1, on_signal);
    for (int nth = 1; nth < argc; nth++) {
        path = argv[nth];
        raise(SIGUSR1);
        errno = error;
        tell("bind", result);
    }
    return 0;
}
