// Says what it was given: its environment as environ, as the third argument of main and as /proc
// shows it, and whether the auxiliary vector is where it belongs. Then it binds. Words after the
// first one are told too; the first one is its exit code.
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>
#include "victim.h"

extern char **environ;

int main(int argc, char **argv, char **envp) {
    char **end = environ;
    if (environ != NULL)
        for (; *end != NULL; end++) printf("%s\n", *end);
    size_t same = 0;
    while (envp[same] != NULL && envp[same] == environ[same]) same++;
    printf("same as main's %d\n", envp[same] == NULL && (environ == NULL || environ[same] == NULL));
    Elf64_auxv_t *auxiliary = (Elf64_auxv_t *)(envp + same + 1);
    while (auxiliary->a_type != AT_NULL && auxiliary->a_type != AT_PAGESZ) auxiliary++;
    printf("page %lu\n", (unsigned long)auxiliary->a_un.a_val);
    for (int i = 2; i < argc; i++) printf("word %s\n", argv[i]);
    static char shown[1 << 22];
    int file = open("/proc/self/environ", O_RDONLY);
    ssize_t length = 0, more;
    while ((more = read(file, shown + length, sizeof shown - length)) > 0) length += more;
    close(file);
    for (char *next = shown; next < shown + length; next += strlen(next) + 1)
        if (*next != 0) printf("proc %s\n", next);
    int fd = tcp_socket();
    tell("bind", bind_loopback(fd, 0));
    return argc > 1 ? atoi(argv[1]) : 0;
}
