/* Makes sockets as the words say, and prints what came of each call, with the last error after it,
 * also after a success. Then it waits until its standard input ends, if "hold" is the last word.
 *
 *     binds OPTIONS ADDRESS PORT [OPTIONS ADDRESS PORT]... [hold]
 *
 * OPTIONS are letters: r SO_REUSEADDR, x SO_EXCLUSIVEADDRUSE, u UDP, l listen, - none.
 */
// link: -lws2_32
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>

static void told(const char *call, int result) {
    int error = WSAGetLastError();
    printf("%s %d, last error %d\n", call, result, error);
    WSASetLastError(77);
}

int main(int count, char **words) {
    WSADATA data;
    if (WSAStartup(MAKEWORD(2, 2), &data)) return 2;
    BOOL on = TRUE;
    for (int at = 1; at + 2 < count; at += 3) {
        const char *options = words[at];
        int is_udp = strchr(options, 'u') != NULL;
        SOCKET it = WSASocketW(AF_INET, is_udp ? SOCK_DGRAM : SOCK_STREAM, 0, NULL, 0,
                               WSA_FLAG_OVERLAPPED);
        struct sockaddr_in address = {.sin_family = AF_INET};
        address.sin_addr.s_addr = inet_addr(words[at + 1]);
        address.sin_port = htons(atoi(words[at + 2]));
        WSASetLastError(77);
        if (strchr(options, 'r'))
            told("SO_REUSEADDR", setsockopt(it, SOL_SOCKET, SO_REUSEADDR, (char *)&on, sizeof on));
        if (strchr(options, 'x'))
            told("SO_EXCLUSIVEADDRUSE",
                 setsockopt(it, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&on, sizeof on));
        told("bind", bind(it, (struct sockaddr *)&address, sizeof address));
        if (strchr(options, 'l')) told("listen", listen(it, 5));
    }
    printf("done\n");
    fflush(stdout);
    while (!strcmp(words[count - 1], "hold") && getchar() != EOF) {}
    return 7;
}
