/* Frees the library that was loaded into it, and Winsock, far more often than anybody loaded them;
 * then it binds a port, and prints what came of it.
 *
 *     frees PORT
 */
// link: -lpsapi
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>
#include <psapi.h>

/* The released launcher's copy has its version in its name. */
static void free_ours(void) {
    HMODULE modules[256];
    DWORD bytes = 0;
    char name[MAX_PATH];
    EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &bytes);
    for (DWORD i = 0; i < bytes / sizeof *modules && i < 256; i++) {
        GetModuleBaseNameA(GetCurrentProcess(), modules[i], name, sizeof name);
        if (_strnicmp(name, "bindshim", 8) || strstr(name, ".exe")) continue;
        for (int n = 0; n < 8; n++) FreeLibrary(modules[i]);
    }
}

int main(int count, char **words) {
    if (count != 2) return 2;
    HMODULE winsock = LoadLibraryA("ws2_32.dll");
    free_ours();
    for (int n = 0; n < 8; n++) FreeLibrary(winsock);
    winsock = LoadLibraryA("ws2_32.dll");
    int(WINAPI *start)(WORD, WSADATA *) = (void *)GetProcAddress(winsock, "WSAStartup");
    SOCKET(WINAPI *make)(int, int, int) = (void *)GetProcAddress(winsock, "socket");
    int(WINAPI *take)(SOCKET, const struct sockaddr *, int) = (void *)GetProcAddress(winsock, "bind");
    WSADATA data;
    if (start(MAKEWORD(2, 2), &data)) return 3;
    struct sockaddr_in address = {.sin_family = AF_INET};
    unsigned port = atoi(words[1]);
    address.sin_port = (u_short)(port << 8 | port >> 8);
    printf("bind %d\n", take(make(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address));
    return 0;
}
