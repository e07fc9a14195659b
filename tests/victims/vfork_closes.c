// Children of vfork close every descriptor, take the numbers that others had for a file of their
// own, and bind. The parent, whose memory they have, must not notice: it binds after each one, and
// then says how many more descriptors it has than at first. Usage: vfork_closes FILE
#include <fcntl.h>
#include <sys/wait.h>
#include "victim.h"

#define CHILDREN 8
#define LAST 1100

static int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 4096; fd++) count += fcntl(fd, F_GETFD) != -1;
    return count;
}

// Nothing but system calls.
static void child(const char *path) {
    for (int fd = 3; fd <= LAST; fd++) close(fd);
    int file = open(path, O_WRONLY | O_APPEND), fd = socket(AF_INET, SOCK_STREAM, 0);
    for (int number = 900; number <= LAST; number++) dup2(file, number);
    _exit(bind_loopback(fd, 0) == 0 ? 0 : 1);
}

static int fails(const char *path) {
    int status = -1;
    pid_t pid = vfork();
    if (pid == 0) child(path);
    return waitpid(pid, &status, 0) != pid || status != 0;
}

static void bind_one(void) {
    int fd = tcp_socket();
    if (bind_loopback(fd, 0) != 0) give_up("bind");
    close(fd);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    bind_one();
    int bad = 0, first = open_descriptors();
    for (int i = 0; i < CHILDREN; i++) {
        bad += fails(argv[1]);
        bind_one();
    }
    printf("bad %d more descriptors %d\n", bad, open_descriptors() - first);
    return bad != 0;
}
