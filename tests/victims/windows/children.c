/* Starts itself again, `depth` times, in one of the ways that programs start others; each generation
 * prints its depth and whether the library is in it.
 *
 *     children WAY DEPTH
 */
// link: -lpsapi
#include <process.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <psapi.h>

/* The released launcher's copy has its version in its name. */
static int is_covered(void) {
    HMODULE modules[256];
    DWORD bytes = 0;
    char name[MAX_PATH];
    EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &bytes);
    for (DWORD i = 0; i < bytes / sizeof *modules && i < 256; i++) {
        GetModuleBaseNameA(GetCurrentProcess(), modules[i], name, sizeof name);
        if (!_strnicmp(name, "bindshim", 8) && !strstr(name, ".exe")) return 1;
    }
    return 0;
}

/* Takes the library's file away from whoever wants to load it. */
static void move_library(void) {
    char name[MAX_PATH], moved[MAX_PATH + 8];
    if (!GetModuleFileNameA(GetModuleHandleA("bindshim.dll"), name, sizeof name)) exit(6);
    snprintf(moved, sizeof moved, "%s.moved", name);
    if (!MoveFileA(name, moved)) exit(7);
}

/* CreateProcess failed, and the test shows why. */
static int failed(void) {
    printf("not created: %lu\n", GetLastError());
    return 3;
}

static int wait_for(PROCESS_INFORMATION *child) {
    DWORD code = 99;
    WaitForSingleObject(child->hProcess, INFINITE);
    GetExitCodeProcess(child->hProcess, &code);
    CloseHandle(child->hThread);
    CloseHandle(child->hProcess);
    return (int)code;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    const char *way = words[1];
    int depth = atoi(words[2]);
    printf("%d %s\n", depth, is_covered() ? "covered" : "bare");
    fflush(stdout);
    if (depth == 0) return 0;

    char self[MAX_PATH], line[MAX_PATH + 64], less[16];
    WCHAR wide[MAX_PATH + 64];
    GetModuleFileNameA(NULL, self, sizeof self);
    snprintf(less, sizeof less, "%d", depth - 1);
    snprintf(line, sizeof line, "\"%s\" %s %s", self, way, less);
    PROCESS_INFORMATION child;
    STARTUPINFOA startup = {.cb = sizeof startup};
    STARTUPINFOW startup_wide = {.cb = sizeof startup_wide};

    if (!strcmp(way, "moved")) move_library();
    if (!strcmp(way, "a") || !strcmp(way, "moved") || !strcmp(way, "suspended") || !strcmp(way, "cleared")) {
        DWORD flags = strcmp(way, "suspended") ? 0 : CREATE_SUSPENDED;
        char empty[] = "SystemRoot=C:\\windows\0";
        char *environment = strcmp(way, "cleared") ? NULL : empty;
        SetLastError(12345);
        if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, flags, environment, NULL, &startup, &child))
            return failed();
        if (flags) {
            Sleep(200);
            if (WaitForSingleObject(child.hProcess, 0) != WAIT_TIMEOUT) return 4;
            if (ResumeThread(child.hThread) != 1) return 5;
        }
        return wait_for(&child);
    }
    if (!strcmp(way, "w")) {
        MultiByteToWideChar(CP_ACP, 0, line, -1, wide, MAX_PATH + 64);
        if (!CreateProcessW(NULL, wide, NULL, NULL, TRUE, 0, NULL, NULL, &startup_wide, &child))
            return failed();
        return wait_for(&child);
    }
    if (!strcmp(way, "spawn")) return (int)_spawnl(_P_WAIT, self, self, way, less, NULL);
    if (!strcmp(way, "system")) {
        /* cmd takes off the outer pair of quotes. */
        char quoted[MAX_PATH + 80];
        snprintf(quoted, sizeof quoted, "\"%s\"", line);
        return system(quoted);
    }
    if (!strcmp(way, "missing")) {
        char missing[] = "no-such-program.exe";
        BOOL done = CreateProcessA(NULL, missing, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &child);
        printf("%d %lu\n", done, GetLastError());
        return 0;
    }
    return 2;
}
