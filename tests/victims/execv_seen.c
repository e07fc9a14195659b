// A library that tells who calls execv(3) and the like by its exported name.
#include <dlfcn.h>
#include <unistd.h>

static void *next(const char *name) {
    static const char seen[] = "seen\n";
    write(1, seen, sizeof seen - 1);
    return dlsym(RTLD_NEXT, name);
}

int execv(const char *path, char *const words[]) {
    return ((int (*)(const char *, char *const[]))next("execv"))(path, words);
}

int execvp(const char *file, char *const words[]) {
    return ((int (*)(const char *, char *const[]))next("execvp"))(file, words);
}

int execve(const char *path, char *const words[], char *const given[]) {
    return ((int (*)(const char *, char *const[], char *const[]))next("execve"))(path, words, given);
}
