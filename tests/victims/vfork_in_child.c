// A forked child, before anything else of its own, has children by vfork: one executes a program, one
// binds. Then it binds itself, three times.
// Usage: vfork_in_child
#include <sys/wait.h>
#include <unistd.h>
#include "victim.h"

static char *words[] = {"true", NULL}, *nothing[] = {NULL};

static void attempt(void) {
    int fd = tcp_socket();
    if (bind_loopback(fd, 0) != 0) _exit(3);
    close(fd);
}

int main(void) {
    pid_t forked = fork();
    if (forked == 0) {
        pid_t child = vfork();
        if (child == 0) {
            execve("/bin/true", words, nothing);
            _exit(9);
        }
        waitpid(child, NULL, 0);
        child = vfork();
        if (child == 0) {
            attempt();
            _exit(0);
        }
        waitpid(child, NULL, 0);
        for (int i = 0; i < 3; i++) attempt();
        _exit(0);
    }
    int status = -1;
    waitpid(forked, &status, 0);
    printf("status %x\n", status);
    return status != 0;
}
