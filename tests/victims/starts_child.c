// Starts a program with an environment of its own, in the way that the first argument names.
// Usage: starts_child WAY ENVIRONMENT PROGRAM
// ENVIRONMENT: null, empty, own, other (with an LD_PRELOAD), many, or kept (as it is)
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include "victim.h"

extern char **environ;

// musl's headers have none of these.
int execveat(int, const char *, char *const[], char *const[], int) __attribute__((weak));

static char path[4096] = "PATH=";
static char *own[] = {"A=1", "odd", path, "A=2", "=x", NULL};
static char *other[] = {"B=", "LD_PRELOAD=", "C=3", NULL};
static char **many(void) {
    enum { MANY = 20000 };
    static char *all[MANY + 1], text[MANY][16];
    for (int i = 0; i < MANY; i++) {
        sprintf(text[i], "V%d=%d", i, i);
        all[i] = text[i];
    }
    return all;
}

static int become(const char *way, const char *program, char **given) {
    char *words[] = {"child", "7", "one", NULL};
    // Only one environment has a PATH in which the program is found.
    const char *name = given == own ? strrchr(program, '/') + 1 : program;
    int flags = O_RDONLY | O_CLOEXEC;
    if (!strcmp(way, "execve")) return execve(program, words, given);
    if (!strcmp(way, "execvpe")) return execvpe(name, words, given);
    if (!strcmp(way, "fexecve")) return fexecve(open(program, flags), words, given);
    if (!strcmp(way, "execveat") && execveat) return execveat(AT_FDCWD, program, words, given, 0);
    if (!strcmp(way, "execveat_in") && execveat) {
        int directory = open(path + strlen("PATH="), flags | O_DIRECTORY);
        return execveat(directory, strrchr(program, '/') + 1, words, given, 0);
    }
    if (!strcmp(way, "execveat_file") && execveat)
        return execveat(open(program, flags), "", words, given, AT_EMPTY_PATH);
    if (!strcmp(way, "execle")) return execle(program, "child", "7", "one", NULL, given);
    if (!strcmp(way, "execle_long"))
        return execle(program, "child", "7", "1", "2", "3", "4", "5", "6", "7", "8", "9", NULL, given);
    environ = given;
    if (!strcmp(way, "execv")) return execv(program, words);
    if (!strcmp(way, "execvp")) return execvp(name, words);
    if (!strcmp(way, "execl")) return execl(program, "child", "7", "one", NULL);
    if (!strcmp(way, "execl_long"))
        return execl(program, "child", "7", "1", "2", "3", "4", "5", "6", "7", "8", "9", NULL);
    if (!strcmp(way, "execlp")) return execlp(name, "child", "7", "one", NULL);
    return -1;
}

static void started(int error, pid_t pid) {
    int status = -1;
    if (error == 0) waitpid(pid, &status, 0);
    printf("start %d, ended %x\n", error, status);
}

static volatile sig_atomic_t children;
static void count(int signal) { (void)signal, children++; }

static void by_shell(const char *way, const char *program, char **given) {
    char line[4096];
    signal(SIGCHLD, count);
    snprintf(line, sizeof line, "exec %s 7 one", program);
    environ = given;
    if (!strcmp(way, "system")) {
        printf("system %x\n", (unsigned)system(line));
    } else {
        FILE *pipe = popen(line, "r");
        while (pipe != NULL && fgets(line, sizeof line, pipe)) printf("read %s", line);
        printf("pclose %x\n", pipe == NULL ? 1u << 31 : (unsigned)pclose(pipe));
    }
    printf("environ is %s, children %d\n", environ == given ? "the same" : "another", children > 0);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    const char *way = argv[1], *which = argv[2], *program = argv[3];
    if (strchr(program, '/') == NULL) return 2;
    strncat(path, program, strrchr(program, '/') - program);
    setenv("PATH", path + strlen("PATH="), 1);
    setvbuf(stdout, NULL, _IONBF, 0);
    char *empty[] = {NULL};
    char **given = !strcmp(which, "own")     ? own
                   : !strcmp(which, "other") ? other
                   : !strcmp(which, "many")  ? many()
                   : !strcmp(which, "empty") ? empty
                   : !strcmp(which, "kept")  ? environ
                                             : NULL;
    char *words[] = {"child", "7", "one", NULL};
    if (!strncmp(way, "posix_spawn", 11)) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        pid_t pid = -1;
        sigset_t all;
        sigfillset(&all);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, 1, 9);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
        posix_spawnattr_setsigmask(&attributes, &all);
        started(way[11] == 'p'
                    ? posix_spawnp(&pid, strrchr(program, '/') + 1, &actions, &attributes, words, given)
                    : posix_spawn(&pid, program, &actions, &attributes, words, given),
                pid);
    } else if (!strcmp(way, "vfork")) {
        pid_t pid = vfork();
        if (pid == 0) {
            execve("/no/such/program", words, given);
            execve(program, words, given);
            _exit(9);
        }
        started(pid < 0, pid);
    } else if (!strcmp(way, "system") || !strcmp(way, "popen")) {
        by_shell(way, program, given);
    } else {
        errno = 0;
        int result = become(way, argv[3], given);
        printf("%s %d errno %d\n", way, result, errno);
    }
    tell("bind", bind_loopback(tcp_socket(), 0));
    return 0;
}
