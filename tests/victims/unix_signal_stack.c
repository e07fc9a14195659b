// A signal handler on an alternate stack of 8 KiB binds Unix sockets to the given paths.
// Usage: unix_signal_stack PATH...
#include <sys/mman.h>
#include "victim.h"

#define STACK 8192

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
    // The page below the stack is not there: an overflow is a crash, not a quiet overwrite.
    char *memory = mmap(NULL, 4096 + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_NONE) != 0) give_up("mmap");
    stack_t stack = {.ss_sp = memory + 4096, .ss_size = STACK};
    if (sigaltstack(&stack, NULL) != 0) give_up("sigaltstack");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    if (sigaction(SIGUSR1, &action, NULL) != 0) give_up("sigaction");
    for (int nth = 1; nth < argc; nth++) {
        path = argv[nth];
        raise(SIGUSR1);
        errno = error;
        tell("bind", result);
    }
    return 0;
}
