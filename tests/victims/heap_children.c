// Whether the heap is called while programs are started that cannot be executed, told by the library
// `counter` that stands in front of it. Usage: heap_children FILE, which may not be executed
#include <dlfcn.h>
#include <spawn.h>
#include "victim.h"

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    unsigned long (*heap_calls)(void);
    *(void **)&heap_calls = dlsym(RTLD_DEFAULT, "heap_calls");
    if (heap_calls == NULL) return 3;
    char *words[] = {"child", NULL}, *given[] = {"A=1", "LD_PRELOAD=/other.so", NULL};
    unsigned long calls[7], *call = calls;
    pid_t pid;
    *call++ = heap_calls();
    execve(argv[1], words, given);
    *call++ = heap_calls();
    execvpe(argv[1], words, given);
    *call++ = heap_calls();
    execle(argv[1], "child", "one", NULL, given);
    *call++ = heap_calls();
    execve("/no/such/program", words, given);
    *call++ = heap_calls();
    posix_spawn(&pid, argv[1], NULL, NULL, words, given);
    *call++ = heap_calls();
    posix_spawnp(&pid, argv[1], NULL, NULL, words, given);
    *call++ = heap_calls();
    for (int i = 1; i < 7; i++) printf("call %d: %lu\n", i, calls[i] - calls[i - 1]);
    return 0;
}
