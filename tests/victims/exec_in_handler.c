// A signal handler on a small stack has children by fork and by vfork, which execute a program with an
// environment that is empty, or too large for a child of vfork to complete.
// Usage: exec_in_handler
#include <sys/wait.h>
#include "victim.h"

static char *words[] = {"sh", "-c", "exit 7", NULL};
static char *none[] = {NULL}, *many[1001];
static int ended[4];

static void start_both(char **given, int *status) {
    pid_t child = fork();
    if (child == 0) {
        execve("/bin/sh", words, given);
        _exit(9);
    }
    waitpid(child, &status[0], 0);
    child = vfork();
    if (child == 0) {
        execv("/no/such/program", words);
        execve("/bin/sh", words, given);
        _exit(9);
    }
    waitpid(child, &status[1], 0);
}

static void handler(int number) {
    (void)number;
    start_both(none, &ended[0]);
    start_both(many, &ended[2]);
}

int main(void) {
    for (int i = 0; i < 1000; i++) many[i] = "A=1";
    handle_on_small_stack(SIGUSR1, handler);
    raise(SIGUSR1);
    printf("ended %x %x %x %x\n", ended[0], ended[1], ended[2], ended[3]);
    return 0;
}
