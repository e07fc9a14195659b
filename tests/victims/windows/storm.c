/* Binds a port that this process listens on, by 64 threads at once, and prints how many were refused.
 *
 *     storm PORT
 */
// link: -lws2_32
#include <stdio.h>
#include <stdlib.h>
#include <winsock2.h>

enum { THREADS = 64 };
static struct sockaddr_in address = {.sin_family = AF_INET};
static LONG refused;
static HANDLE begin;

static DWORD WINAPI take(void *unused) {
    (void)unused;
    SOCKET it = socket(AF_INET, SOCK_STREAM, 0);
    WaitForSingleObject(begin, INFINITE);
    if (bind(it, (struct sockaddr *)&address, sizeof address)) InterlockedIncrement(&refused);
    return 0;
}

int main(int count, char **words) {
    WSADATA data;
    HANDLE threads[THREADS];
    if (count != 2 || WSAStartup(MAKEWORD(2, 2), &data)) return 2;
    address.sin_port = htons(atoi(words[1]));
    SOCKET first = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(first, (struct sockaddr *)&address, sizeof address) || listen(first, 5)) return 3;
    begin = CreateEventA(NULL, TRUE, FALSE, NULL);
    for (int n = 0; n < THREADS; n++) threads[n] = CreateThread(NULL, 0, take, NULL, 0, NULL);
    SetEvent(begin);
    WaitForMultipleObjects(THREADS, threads, TRUE, INFINITE);
    printf("%ld refused\n", refused);
    return 0;
}
