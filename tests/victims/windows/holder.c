/* The server of every introduction to sockets, on 0.0.0.0. It prints what it could not do, with the
 * number of the error, and else that it listens, until its standard input ends.
 *
 *     holder PORT
 */
// link: -lws2_32
#include <stdio.h>
#include <stdlib.h>
#include <winsock2.h>

int main(int count, char **words) {
    WSADATA data;
    if (count != 2 || WSAStartup(MAKEWORD(2, 2), &data)) return 2;
    SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) {
        printf("bind() failed. (%d)\n", WSAGetLastError());
        return 1;
    }
    if (listen(listener, 10)) {
        printf("listen() failed. (%d)\n", WSAGetLastError());
        return 1;
    }
    printf("listening\n");
    fflush(stdout);
    while (getchar() != EOF) {}
    return 0;
}
