// Threads are cancelled in system(3), which kills its shell then, and cleans up.
// Usage: cancelled
#include <pthread.h>
#include <unistd.h>
#include "victim.h"

extern char **environ;

static int cleaned;
static void clean(void *unused) { (void)unused, cleaned++; }

static void *wait_for_shell(void *unused) {
    pthread_cleanup_push(clean, NULL);
    system("sleep 20");
    pthread_cleanup_pop(0);
    return unused;
}

int main(void) {
    static char *few[] = {"A=1", NULL}, *many[20001];
    for (int i = 0; i < 20000; i++) many[i] = "B=2";
    char **given[] = {environ, few, many};
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *result;
        environ = given[i];
        if (pthread_create(&thread, NULL, wait_for_shell, NULL) != 0) give_up("pthread_create");
        usleep(100000);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        printf("cancelled %d cleaned %d\n", result == PTHREAD_CANCELED, cleaned);
    }
    tell("bind", bind_loopback(tcp_socket(), 0));
    return 0;
}
